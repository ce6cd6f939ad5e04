"""Who counts as one client: the unit in which attempts are counted."""

from __future__ import annotations

import ipaddress


def network_of(client: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that an IPv6 customer has to themselves.

    Whatever is no address (a unix socket) is one client.
    """
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
    return str(address)
