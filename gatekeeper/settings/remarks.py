"""What is no error in a configuration, and still seldom meant."""

from __future__ import annotations

from gatekeeper.settings.addresses import parse_host_port
from gatekeeper.settings.model import Settings


def remarks(settings: Settings) -> list[str]:
    """One line each."""
    if not settings.secure or settings.tls is not None or settings.trusted_proxies:
        return []
    outside = [
        address
        for address in settings.listen
        if not address.startswith("unix:") and not parse_host_port(address).loopback
    ]
    if not outside:
        return []
    return [
        f"speaks plain http on {', '.join(outside)}, though public_url is https: "
        "give it a certificate (tls), or name the proxy that has one in trusted_proxies"
    ]
