"""What rules ask of the host and of the client's address."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from gatekeeper.core.hosts import Network, normalise_host, parse_address

_REMEMBERED = 4096
"""Answers kept for each rule: parsing an address costs more than all of the decision."""


def compile_hosts(patterns: Sequence[str], scheme: str) -> Callable[[str], bool]:
    """Whether a host as in `Facts.host` is one of `patterns`.

    A pattern is a name or an address, perhaps with `*.` in front (every name below, at any depth, not the
    name itself) and with a port; without one it is about every port. `scheme` says which port need not be
    written.
    """
    every = [re.compile(_host_pattern(pattern, scheme)) for pattern in patterns]
    return lru_cache(_REMEMBERED)(lambda host: any(one.fullmatch(host) for one in every))


def _host_pattern(pattern: str, scheme: str) -> str:
    name, colon, port = pattern.lower().rpartition(":")
    if not colon or pattern.endswith("]"):
        name, port = pattern.lower(), ""
    found = re.escape(name.removeprefix("*.").removesuffix("."))
    if name.startswith("*."):
        found = rf"(?:[^.:\[\]]+\.)+{found}"
    if not port:
        return found + "(?::[0-9]+)?"
    return found + re.escape(normalise_host(f":{port}", scheme))


def compile_networks(networks: Sequence[Network]) -> Callable[[str], bool]:
    """Whether a client's address is in one of `networks`; IPv4-mapped IPv6 counts as IPv4.

    An unknown address ("", through a unix socket that no proxy speaks for) is in none.
    """
    every = tuple(networks)

    def hold(client: str) -> bool:
        address = parse_address(client)
        return address is not None and any(address in network for network in every)

    return lru_cache(_REMEMBERED)(hold)
