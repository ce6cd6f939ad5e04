"""Writing our cookies: host-only unless hosts share a session; never for scripts. RFC 6265bis section 5.6."""

from __future__ import annotations

from starlette.responses import Response


def set_cookie(
    response: Response,
    name: str,
    value: str,
    *,
    secure: bool,
    max_age: int | None = None,
    path: str = "/",
    domain: str = "",
) -> None:
    """Add a Set-Cookie; `max_age` in seconds, None for as long as the browser runs.

    Only a cookie for the `path` "/" and without a `domain` may have a name that begins with `__Host-`.
    SameSite=Lax, not Strict: a link in a mail leads here, and must find the cookies that are already set.
    """
    parts = [f"{name}={value}", f"Path={path}", "HttpOnly", "SameSite=Lax"]
    if domain:
        parts.append(f"Domain={domain}")
    if secure:
        parts.append("Secure")
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    response.headers.append("set-cookie", "; ".join(parts))


def clear_cookie(response: Response, name: str, *, secure: bool, path: str = "/", domain: str = "") -> None:
    """Make the browser forget the cookie; the attributes must be those it was set with."""
    set_cookie(response, name, "", secure=secure, max_age=0, path=path, domain=domain)
