"""Opening one connection to the application: address lookup, TLS, time limit, foreign errors translated."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.origin import Origin

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


def make_ssl_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Verify certificate and host name against the system's authorities or `ca_file` alone; TLS 1.2 or later.

    Raises OSError or ssl.SSLError (an OSError too) when the file cannot be used. RFC 9325.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def open_connection(
    factory: Callable[[], ProtocolT],
    origin: Origin,
    *,
    timeout: float,
    ssl_context: ssl.SSLContext | None = None,
) -> ProtocolT:
    """Connect `factory()` to `origin` within `timeout` seconds, TLS hand-shake included.

    The protocol gets its transport through `connection_made`. An https origin without `ssl_context` is
    verified against the system's authorities; SNI and verification use the origin's host.
    Raises `UpstreamFailure`: 504 `upstream_connect_timeout`, 502 `upstream_tls`, 502 `upstream_unreachable`.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            if origin.unix_path is not None:
                _, protocol = await loop.create_unix_connection(factory, origin.unix_path)
            elif origin.tls:
                _, protocol = await loop.create_connection(
                    factory,
                    origin.host,
                    origin.port,
                    ssl=ssl_context or make_ssl_context(),
                    server_hostname=origin.host.rstrip("."),
                )
            else:
                _, protocol = await loop.create_connection(factory, origin.host, origin.port)
    except TimeoutError as error:
        raise UpstreamFailure(
            504, "upstream_connect_timeout", f"{origin}: no connection in {timeout:g} s"
        ) from error
    except (ssl.SSLError, ssl.CertificateError) as error:
        raise UpstreamFailure(502, "upstream_tls", f"{origin}: {error}") from error
    except (OSError, UnicodeError) as error:
        raise UpstreamFailure(502, "upstream_unreachable", f"{origin}: {error}") from error
    return protocol
