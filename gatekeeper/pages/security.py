"""Headers that every page of ours carries, whatever it is and whoever made the response."""

from __future__ import annotations

from gatekeeper.core.protocols import Message, Send


def content_security_policy(*, form_action: str = "") -> str:
    """Nothing inline, nothing from elsewhere, nobody may frame us. OWASP ASVS 5.0 V3.4.

    `form-action 'self'` also holds for the redirect after the POST, which leads to a path of ours
    (core.returns); `form_action` is one more origin where that may lead.
    """
    own = "'self'"
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        f"form-action {own} {form_action}".rstrip()
        + "; "
        "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )


CONTENT_SECURITY_POLICY = content_security_policy().encode("ascii")

# `same-origin`, not `no-referrer`: the latter makes browsers send `Origin: null` with our own forms.
PAGE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"x-robots-tag", b"noindex, nofollow"),
)


def guarded(send: Send, *, head_only: bool) -> Send:
    """`send` that adds the headers above unless the response set them itself, and no body after HEAD."""

    async def guarded_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            present = {name for name, _ in headers}
            headers.extend(header for header in PAGE_HEADERS if header[0] not in present)
            message = {**message, "headers": headers}
        elif head_only and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return guarded_send
