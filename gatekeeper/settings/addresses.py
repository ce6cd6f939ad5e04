"""Addresses: where people find us, where we listen, where the application is, whom we believe."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

Network = IPv4Network | IPv6Network

_LABEL = re.compile(r"(?![-_])[a-z0-9_-]{1,63}(?<![-_])\Z")
_PORTS = {"http": 80, "https": 443}
NO_URL = "none"
"""In place of an application's address: another proxy carries the traffic, and asks."""
_WIDEST = {4: 8, 6: 7}
"""10.0.0.0/8 and fc00::/7 are the widest networks that one organisation can have to itself."""


class HostPort(NamedTuple):
    """A host in lower case (IPv6 in brackets) and its port, None when it was not written."""

    host: str
    port: int | None

    @property
    def loopback(self) -> bool:
        """RFC 6761 section 6.3 for names, RFC 1122 and RFC 4291 for addresses."""
        name = self.host.strip("[]")
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return name == "localhost" or name.endswith(".localhost")


def parse_host(text: str) -> str:
    """`text` as browsers send it in Host: lower case, IDNA, no trailing dot; `ValueError` otherwise."""
    if text.startswith("[") and text.endswith("]"):
        return f"[{_address(text[1:-1], 6)}]"
    try:
        name = text.encode("ascii").decode() if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError(f"{text} is not a host name") from None
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        return _address(name, 4)  # what ends in a number is an IPv4 address (URL Standard), or nothing
    if len(name) > 253 or not all(map(_LABEL.match, labels)):
        raise ValueError(f"{text or 'nothing'} is not a host name")
    return name


def _address(text: str, version: int) -> str:
    try:
        if "%" in text:
            raise ValueError("a zone means something on one machine only")
        address = IPv4Address(text) if version == 4 else IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text} is not an IPv{version} address") from None
    return str(address)


def parse_host_port(text: str) -> HostPort:
    """Read `host[:port]`; `ValueError` says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return HostPort(parse_host(text), None)
    if ":" in host and not host.startswith("["):
        raise ValueError(f"an IPv6 address stands in brackets: [{text}]")
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65_535:
        raise ValueError(f"{port or 'nothing'} is not a port number")
    return HostPort(parse_host(host), int(port))


def parse_origin(text: str) -> tuple[str, HostPort]:
    """Scheme and host of `http(s)://host[:port]`, nothing after it; `ValueError` says what is wrong."""
    if any(character.isspace() or character in '\\^`{}|<>"' for character in text):
        raise ValueError("has a character that an address cannot have")
    scheme = text.partition("://")[0].lower()
    if scheme not in _PORTS or "://" not in text:
        hint = f"; did you mean http://{text}?" if "://" not in text and text else ""
        raise ValueError(f"must begin with http:// or https://{hint}")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError("is not an address") from None
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError(f"must end after the host, without path or query: {scheme}://{parts.netloc}")
    found = parse_host_port(parts.netloc)
    if found.port == 0:
        raise ValueError("0 is not a port number")
    return scheme, HostPort(found.host, None if found.port == _PORTS[scheme] else found.port)


def origin_text(scheme: str, place: HostPort) -> str:
    """`https://host[:port]`, without the scheme's own port."""
    return f"{scheme}://{place.host}" + (f":{place.port}" if place.port is not None else "")


class Place(NamedTuple):
    """Where people find an application."""

    host: str
    """As `HostPort` has it, with `:port` when that was written; "" for the host of public_url."""
    path: str
    """Decoded; "/", or `/segments` without a slash at the end."""

    def __str__(self) -> str:
        return self.host + (self.path if self.path != "/" or not self.host else "")


def parse_place(text: str) -> Place:
    """Read `host[:port]`, `host[:port]/path` or `/path`; `ValueError` says what is wrong."""
    if "://" in text:
        raise ValueError("is written without https://, such as orders.example.com or /reports")
    host, slash, path = text.partition("/")
    if not text:
        raise ValueError("is a host, a path, or both, such as orders.example.com or /reports")
    if sign := re.search(r"[\x00-\x20\x7f%;?#*\\]", path):
        raise ValueError(f"has `{sign[0]}`: the path is written decoded, and everything below it is meant")
    segments = path.removesuffix("/").split("/") if path else []
    if any(segment in ("", ".", "..") for segment in segments):
        raise ValueError("has an empty segment or one of dots alone")
    place = parse_host_port(host) if host else None
    if place is not None and place.port == 0:
        raise ValueError("0 is not a port number")
    name = "" if place is None else origin_text("", place).removeprefix("://")
    return Place(name, slash + "/".join(segments) if segments else "/")


def parse_public_url(text: str) -> str:
    """The origin under which browsers reach us, normalised; `ValueError` says what is wrong."""
    return origin_text(*parse_origin(text))


def parse_upstream_url(text: str) -> str:
    """`http://…`, `https://…` or `unix:/path`, normalised, or NO_URL; `ValueError` says what is wrong."""
    if text == NO_URL:
        return text
    if text.startswith("unix:"):
        return "unix:" + _socket_path(text)
    return origin_text(*parse_origin(text))


def parse_listen(text: str) -> str:
    """`host:port` or `unix:/path`, normalised; port 0 takes a free one. `ValueError` says what is wrong."""
    if text.startswith("unix:"):
        return "unix:" + _socket_path(text)
    if "//" in text:
        raise ValueError("is an address to listen on, host:port, without http://")
    place = parse_host_port(text)
    if place.port is None:
        raise ValueError(f"needs a port, such as {place.host}:8080")
    return f"{place.host}:{place.port}"


def loops(listen: str, upstream: str) -> bool:
    """Whether what is sent to `upstream` would arrive at `listen` (both normalised), for ever."""
    if listen.startswith("unix:") or upstream.startswith("unix:"):
        return listen == upstream
    scheme, place = parse_origin(upstream)
    here = parse_host_port(listen)
    if here.port != (place.port or _PORTS[scheme]):
        return False
    everywhere = here.host in ("0.0.0.0", "[::]")  # noqa: S104 - compared, not bound
    by_name = here.loopback and "localhost" in (here.host, place.host)
    return here.host == place.host or (place.loopback and (everywhere or by_name))


def _socket_path(text: str) -> str:
    path = text.removeprefix("unix:")
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("a unix socket is written unix:/absolute/path.sock")
    if len(path.encode()) > 107:
        raise ValueError("the path of a unix socket has at most 107 bytes")
    return path


def parse_network(text: str) -> Network:
    """An address or network; IPv4-mapped becomes IPv4.

    `ValueError` for anything else, host bits included: it names the network that was perhaps meant.
    """
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text} is not an IP address or network such as 10.0.0.0/8") from None
    if "/" in text and str(network.network_address) != str(ip_address(text.partition("/")[0])):
        raise ValueError(f"{text} is an address inside a network; did you mean {network}?")
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def too_wide(networks: Iterable[Network]) -> Network | None:
    """The first network, after joining neighbours, that is wider than any private network."""
    listed = list(networks)
    joined: list[Network] = []
    joined += collapse_addresses(n for n in listed if isinstance(n, IPv4Network))
    joined += collapse_addresses(n for n in listed if isinstance(n, IPv6Network))
    return next((network for network in joined if network.prefixlen < _WIDEST[network.version]), None)


_POSTGRESQL = "postgresql+psycopg://"
_POSTGRESQL_OPTIONS = frozenset(
    {"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "target_session_attrs"}
)


def is_server(database: str) -> bool:
    """Whether several machines can share this database."""
    return database.startswith(_POSTGRESQL)


def check_postgresql(text: str) -> str:
    """`postgresql+psycopg://user@host/database`, with libpq's options after `?`; `ValueError` otherwise."""
    parts = urlsplit(text)
    if parts.password is not None:
        raise ValueError("has a password in it: put it into database_password_file")
    options = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(set(options) - _POSTGRESQL_OPTIONS)
    if unknown:
        raise ValueError(
            f"has the unknown option {unknown[0]}; known: {', '.join(sorted(_POSTGRESQL_OPTIONS))}"
        )
    if not parts.username or not (parts.hostname or "host" in options) or not parts.path.strip("/"):
        raise ValueError("must name a user, a host and a database: postgresql+psycopg://user@host/database")
    try:
        parts.port  # noqa: B018 - raises
    except ValueError:
        raise ValueError("must have a port from 1 to 65535") from None
    return text


def check_store(text: str) -> str:
    """`redis://host:port/db`, `rediss://…` or `redis+sentinel://host:port,…/service`; else `ValueError`."""
    parts = urlsplit(text)
    if parts.scheme not in ("redis", "rediss", "redis+sentinel") or not parts.netloc or parts.fragment:
        raise ValueError(
            "must be redis://host:port/db, rediss://host:port/db or "
            "redis+sentinel://host:port,host:port/service"
        )
    if "@" in parts.netloc and (parts.scheme == "redis+sentinel" or ":" in parts.netloc.rpartition("@")[0]):
        raise ValueError("has a password in it: put it into store_password_file")
    name = parts.path.strip("/")
    if parts.scheme == "redis+sentinel":
        places, options = parts.netloc.split(","), parse_qs(parts.query, keep_blank_values=True)
        if not name or "/" in name or set(options) - {"db"} or not options.get("db", ["0"])[0].isdigit():
            raise ValueError("must end with the name of the service, and perhaps ?db=0")
    else:
        places = [parts.netloc.rpartition("@")[2]]
        if parts.query or (name and not name.isdigit()):
            raise ValueError("must end with the number of a database, such as /0, and nothing after it")
    for place in places:
        parse_host_port(place)
    return text


def parse_database(text: str) -> str:
    """The path in `sqlite:///path` (with or without `+aiosqlite`); `ValueError` says what is wrong."""
    for start in ("sqlite:///", "sqlite+aiosqlite:///"):
        path = text.removeprefix(start)
        if path != text and path and path != ":memory:" and not re.search(r"[?#]", path):
            return path
    raise ValueError(
        "must be sqlite:///path/of/the/file.db (a relative path has three slashes) or "
        "postgresql+psycopg://user@host/database"
    )
