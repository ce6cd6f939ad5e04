"""Where the application's own address would reach the browser, the public one takes its place.

Everything else is left byte for byte as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from gatekeeper.upstream.origin import Origin

REWRITTEN = frozenset((b"location", b"content-location", b"refresh", b"set-cookie"))
"""Header names (lower case) whose values `Rewriter.value` looks at."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_REFRESH = re.compile(rb"(\s*[0-9.]+\s*[;,]\s*(?:url\s*=\s*)?[\"']?)(.*)", re.IGNORECASE | re.DOTALL)


class Rewriter:
    """Rewrites for one application. RFC 9110 sections 10.2.2 and 8.7, RFC 6265 section 5.2.3."""

    __slots__ = ("_host", "_leak", "_public", "_public_hosts")

    def __init__(self, origin: Origin, public_origins: Sequence[str]) -> None:
        """`public_origins` are `scheme://host[:port]` as browsers see us; none rewrites nothing.

        With several, an address is rewritten without scheme and host, which leaves the browser on that of
        its request (RFC 9110 section 10.2.2, RFC 3986 section 5.2).
        """
        self._public: bytes | None = None
        if public_origins:
            self._public = public_origins[0].rstrip("/").encode("ascii") if len(public_origins) == 1 else b""
        self._public_hosts = [(urlsplit(public).hostname or "").lower() for public in public_origins]
        self._host = origin.host.rstrip(".")
        self._leak = _own_address(origin)

    def value(self, name: bytes, value: bytes) -> bytes:
        """What the client gets for header `name`, one of `REWRITTEN`."""
        if self._public is None:
            return value
        if name == b"set-cookie":
            return self._cookie(value)
        if name == b"refresh":
            found = _REFRESH.fullmatch(value)
            return value if found is None else found[1] + self._url(found[2])
        return self._url(value)

    def _url(self, value: bytes) -> bytes:
        found = self._leak.match(value)
        if found is None or self._public is None:
            return value
        rest = value[found.end() :]
        if self._public == b"" and not rest.startswith(b"/"):
            rest = b"/" + rest
        elif self._public == b"" and rest.startswith((b"//", b"/\\")):
            return value  # would be read as another host; so it stays what it is
        return self._public + rest

    def _cookie(self, value: bytes) -> bytes:
        """Without a Domain that covers the application's host but not ours: browsers would refuse it."""
        if b"domain" not in value.lower():
            return value
        pair, *attributes = value.split(b";")
        kept = [attribute for attribute in attributes if not self._foreign(attribute)]
        return b";".join([pair, *kept])

    def _foreign(self, attribute: bytes) -> bool:
        name, _, domain = attribute.partition(b"=")
        if name.strip(b" \t").lower() != b"domain":
            return False
        wanted = domain.strip(b" \t").decode("latin-1").lower().removeprefix(".")
        return _covers(wanted, self._host) and not any(_covers(wanted, host) for host in self._public_hosts)


def _covers(domain: str, host: str) -> bool:
    return domain == host or (domain != "" and host.endswith("." + domain))


def _own_address(origin: Origin) -> re.Pattern[bytes]:
    """Matches a URL's scheme and authority when they are the application's; scheme-relative ones too."""
    hosts = _LOOPBACK if origin.host in _LOOPBACK else (origin.host.rstrip("."),)
    names = "|".join(re.escape(f"[{host}]" if ":" in host else host) for host in hosts)
    if origin.unix_path is not None:
        port = ""
    elif origin.port == (443 if origin.tls else 80):
        port = rf"(?::{origin.port}|:)?"
    else:
        port = f":{origin.port}"
    pattern = rf"(?:{origin.scheme}:)?//(?:{names})\.?{port}(?=[/?#\"']|\Z)"
    return re.compile(pattern.encode("ascii"), re.IGNORECASE)
