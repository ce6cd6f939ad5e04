from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from tests.upstream.harness import OK, Client, Peer, application, fetch, proxy, run

AUTHORITY = trustme.CA()


def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


def client_context(tmp_path: Path) -> ssl.SSLContext:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return make_ssl_context(tmp_path / "ca.pem")


async def twice(peer: Peer) -> None:
    await peer.answer()
    await peer.answer()


def test_https_is_verified_against_the_ca_file_with_sni(tmp_path: Path) -> None:
    asked: list[str | None] = []
    context = server_context("localhost")
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def story() -> None:
        async with application(twice, ssl=context) as fake:
            origin = Origin("https", "localhost", fake.port)
            async with proxy(origin, ssl_context=client_context(tmp_path)) as app:
                assert (await fetch(app)).body == b"ok"
                assert (await fetch(app)).body == b"ok"
                assert fake.connections == 1 and asked == ["localhost"]

    run(story())


@pytest.mark.parametrize("known", [True, False])
def test_a_certificate_for_another_name_or_of_an_unknown_authority_is_refused(
    tmp_path: Path, known: bool
) -> None:
    async def never(peer: Peer) -> None:
        assert await peer.gone()

    async def story() -> None:
        async with application(
            never, ssl=server_context("elsewhere.example" if known else "localhost")
        ) as fake:
            origin = Origin("https", "localhost", fake.port)
            context = client_context(tmp_path) if known else None
            async with proxy(origin, ssl_context=context) as app:
                with pytest.raises(UpstreamFailure) as failed:
                    await fetch(app)
                assert (failed.value.status, failed.value.reason) == (502, "upstream_tls")

    run(story())


def test_https_to_an_application_that_speaks_plain_http_is_502(tmp_path: Path) -> None:
    async def plain(peer: Peer) -> None:
        await peer.reader.read(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async def story() -> None:
        async with application(plain) as fake:
            origin = Origin("https", "localhost", fake.port)
            async with proxy(origin, ssl_context=client_context(tmp_path)) as app:
                with pytest.raises(UpstreamFailure) as failed:
                    await fetch(app)
                assert failed.value.status == 502

    run(story())


def test_a_tls_handshake_that_hangs_is_504(tmp_path: Path) -> None:
    async def hang(peer: Peer) -> None:
        await peer.reader.read()

    async def story() -> None:
        async with application(hang) as fake:
            origin = Origin("https", "localhost", fake.port)
            limits = UpstreamLimits(connect_timeout=0.1)
            async with proxy(origin, limits, ssl_context=client_context(tmp_path)) as app:
                with pytest.raises(UpstreamFailure) as failed:
                    await fetch(app)
                assert failed.value.status == 504

    run(story())


def test_tls_cut_off_is_no_end_of_a_body_that_ends_with_the_connection(tmp_path: Path) -> None:
    async def story() -> None:
        seen = asyncio.Event()

        async def script(peer: Peer) -> None:
            await peer.answer(b"HTTP/1.1 200 OK\r\n\r\npart")
            await seen.wait()
            peer.reset()

        async with application(script, ssl=server_context("localhost")) as fake:
            origin = Origin("https", "localhost", fake.port)
            async with proxy(origin, ssl_context=client_context(tmp_path)) as app:
                client = Client(app)
                task = client.start()
                await client.until(lambda: client.body == b"part")
                seen.set()
                with pytest.raises(UpstreamFailure):
                    await task
                assert not client.complete

    run(story())


def test_a_unix_socket(tmp_path: Path) -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert b"\r\nhost: localhost\r\n" in await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            writer.close()

        path = tmp_path / "app.sock"
        server = await asyncio.start_unix_server(serve, path)
        async with proxy(Origin.parse(f"unix:{path}"), host_policy="rewrite") as app:
            assert (await fetch(app)).body == b"ok"
        server.close()

    run(story())
