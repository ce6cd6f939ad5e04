"""Which Host headers are ours, and which client address is believed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_DEFAULT_PORT = {"http": ":80", "https": ":443"}


def normalise_host(host: str, scheme: str) -> str:
    """Lower case, without the trailing dot of a fully qualified name and the scheme's own port."""
    host = host.lower().removesuffix(_DEFAULT_PORT[scheme])
    name, colon, port = host.rpartition(":")
    if colon and not host.endswith("]"):
        return name.removesuffix(".") + ":" + port
    return host.removesuffix(".")


class OurHosts:
    """The hosts under which Gatekeeper is reached; anything else is answered 421 (RFC 9110 section 7.4)."""

    def __init__(self, hosts: Iterable[str], scheme: str) -> None:
        self._scheme = scheme
        self._hosts = frozenset(normalise_host(host, scheme) for host in hosts)
        self._exact = {host.encode("ascii"): host for host in self._hosts}

    def find(self, host: bytes) -> str | None:
        """The normalised host, or None when it is not ours."""
        if (known := self._exact.get(host)) is not None:
            return known
        try:
            name = normalise_host(host.decode("ascii"), self._scheme)
        except UnicodeDecodeError:
            return None
        return name if name in self._hosts else None


class TrustedProxies:
    """Believes `X-Forwarded-For` and `X-Forwarded-Host` of listed peers only; the default list is empty."""

    def __init__(self, networks: Sequence[Network] = (), *, trust_unix: bool = False) -> None:
        self._networks = tuple(networks)
        self._trust_unix = trust_unix
        self.active = bool(self._networks) or trust_unix
        # One process talks to few proxies: parsing an address costs more than all of the decision.
        self.trusts = lru_cache(maxsize=1024)(self._trusts)

    def _trusts(self, address: str) -> bool:
        if not address:
            return self._trust_unix
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded_for: Sequence[bytes]) -> str:
        """The client's address: the last one in the chain that no trusted proxy vouches for.

        `peer` is the address of the connection ("" for a unix socket). A hop that is not an address ends the
        walk: what stands left of it was written by somebody unknown.
        """
        if not self.active or not forwarded_for or not self.trusts(peer):
            return peer
        client = peer
        hops = [hop.strip() for hop in b",".join(forwarded_for).decode("latin-1").split(",")]
        for hop in reversed(hops):
            address = parse_hop(hop)
            if address is None:
                return client
            client = address
            if not self.trusts(client):
                return client
        return client


def parse_address(text: str) -> Address | None:
    """An address without zone; IPv4-mapped IPv6 becomes IPv4, so that one network names both."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def parse_hop(hop: str) -> str | None:
    """One element of X-Forwarded-For: an address, perhaps with brackets and a port."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    address = parse_address(hop)
    return None if address is None else str(address)
