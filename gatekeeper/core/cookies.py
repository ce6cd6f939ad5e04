"""Cookies: ours by name, found by a bytes search, and never handed to the application.

A cookie parser costs microseconds a request; the gate needs one value and, for the application, the rest.
RFC 6265bis sections 4.1.3 (name prefixes) and 5.6.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class CookieNames(NamedTuple):
    """The names of Gatekeeper's own cookies under one configuration."""

    session: str
    csrf: str
    device: str
    """A browser that has signed in to an account before (lockout counts of its own)."""
    remember: str
    """Whether "Remember me" was ticked last time."""
    bounce: str
    """Counts redirects between gate and sign-in page."""
    sso: str
    """Binds sign-ins at identity providers to this browser."""
    kept: str
    """Which browser a form is kept for."""
    secure: bool
    domain: str = ""
    """Of the session's cookie: the domain under which all hosts share it; "" for each host its own."""

    @classmethod
    def make(cls, base: str, *, secure: bool, domain: str = "") -> CookieNames:
        """`__Host-` on https, `__Secure-` when the cookie has a Domain, plain on loopback http."""
        prefix = "" if not secure else "__Secure-" if domain else "__Host-"
        host_only = "__Host-" if secure else ""
        return cls(
            session=prefix + base,
            csrf=host_only + base + "_csrf",
            device=host_only + base + "_device",
            remember=host_only + base + "_remember",
            bounce=host_only + base + "_bounce",
            sso=host_only + base + "_sso",
            kept=host_only + base + "_kept",
            secure=secure,
            domain=domain,
        )

    def all_spellings(self) -> frozenset[bytes]:
        """Every name under which one of our cookies could reach the application, prefixed or not."""
        plain = {name.removeprefix("__Host-").removeprefix("__Secure-") for name in self[:7]}
        return frozenset(
            (prefix + name).encode("ascii") for name in plain for prefix in ("", "__Host-", "__Secure-")
        )


def find_cookie(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The one value of cookie `name`; None when it is absent or sent twice with different values.

    Two values mean that somebody else (a sibling host, a script) set one of them: neither is believed.
    """
    return cookie_value(b";".join(value for key, value in headers if key == b"cookie"), name + b"=")


def cookie_value(header: bytes, mark: bytes) -> bytes | None:
    """The same in a Cookie header's value; `mark` is the cookie's name and "="."""
    start = header.find(mark)
    if start < 0:
        return None
    after = start + len(mark)
    alone = start == 0 or header[start - 1 : start] == b";" or header[start - 2 : start] == b"; "
    if alone and header.find(mark, after) < 0:
        end = header.find(b";", after)
        return header[after:].rstrip(b" \t") if end < 0 else header[after:end].rstrip(b" \t")
    return _one_of_several(header, mark)


def _one_of_several(header: bytes, mark: bytes) -> bytes | None:
    values = {
        pair[len(mark) :]
        for pair in (part.strip(b" \t") for part in header.split(b";"))
        if pair.startswith(mark)
    }
    return values.pop() if len(values) == 1 else None


def without_cookies(value: bytes, own: frozenset[bytes]) -> bytes:
    """The Cookie header's value without the cookies named in `own`; b"" when nothing is left."""
    kept = [pair for pair in value.split(b";") if pair.split(b"=", 1)[0].strip(b" \t") not in own]
    return b";".join(kept).strip(b" \t")


def sets_cookie(value: bytes, own: frozenset[bytes]) -> bool:
    """Whether a Set-Cookie value would set one of the cookies named in `own`."""
    return value.split(b";", 1)[0].split(b"=", 1)[0].strip(b" \t") in own
