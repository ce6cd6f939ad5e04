"""Where the protected application listens: one address, parsed and checked once at start."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import urlsplit

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_DEFAULT_PORT = {"http": 80, "https": 443}


class OriginError(ValueError):
    """The address of the application cannot be used; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Origin:
    """An application's address: TCP, TLS over TCP, or a Unix socket. RFC 9110 section 4.3."""

    scheme: str
    """"http" or "https"; a Unix socket speaks plain http."""
    host: str
    """Lower case, without brackets; "localhost" for a Unix socket."""
    port: int
    """0 for a Unix socket."""
    unix_path: str | None = None

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Read `http://host[:port]`, `https://host[:port]` or `unix:/path`.

        A path, query, fragment or user name is refused: the request's own path is sent byte for byte.
        Raises `OriginError`.
        """
        if url.startswith("unix:"):
            path = url.removeprefix("unix:")
            path = path.removeprefix("//") if path.startswith("///") else path
            if not path.startswith("/") or "\0" in path:
                raise OriginError(f"{url!r}: a Unix socket is written unix:/absolute/path")
            return cls("http", "localhost", 0, path)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise OriginError(f"{url!r}: {error}") from error
        if parts.scheme not in _DEFAULT_PORT:
            raise OriginError(f"{url!r}: must begin with http://, https:// or unix:/")
        if parts.path not in ("", "/") or "?" in url or "#" in url or "@" in parts.netloc:
            raise OriginError(f"{url!r}: only scheme, host and port; no path, query, fragment or user name")
        host = (parts.hostname or "").lower()
        if not _usable_host(host, bracketed=parts.netloc.startswith("[")) or port == 0:
            raise OriginError(f"{url!r}: the host or port is not valid")
        return cls(parts.scheme, host, port or _DEFAULT_PORT[parts.scheme])

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """As in a Host header: the port only when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.unix_path is not None or self.port == _DEFAULT_PORT[self.scheme]:
            return host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"unix:{self.unix_path}" if self.unix_path is not None else f"{self.scheme}://{self.authority}"


def _usable_host(host: str, *, bracketed: bool) -> bool:
    if bracketed:
        try:
            IPv6Address(host)
        except ValueError:
            return False
        return "%" not in host
    return _NAME.fullmatch(host) is not None
