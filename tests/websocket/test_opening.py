"""How a WebSocket begins through the relay: who may open one, and what the application is asked."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.frames import Opcode
from websockets.http11 import Request, Response

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.core.protocols import Message, Receive, Scope, Send
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.limits import UpstreamLimits
from gatekeeper.upstream.origin import Origin
from gatekeeper.upstream.websocket import WebSocketRelay
from tests.websocket.support import (
    PLAIN,
    PUBLIC_ORIGIN,
    RAW,
    EchoApplication,
    RawClient,
    RefusedHandshake,
    application,
    closing,
    masked,
    relay,
    served,
)

roads = pytest.mark.parametrize("road", [RAW, PLAIN])


@contextlib.asynccontextmanager
async def echo_behind(road: str, **options: Any) -> AsyncIterator[tuple[EchoApplication, int]]:
    echo = EchoApplication()
    server_options = {key: options.pop(key) for key in ("subprotocols", "process_request") if key in options}
    async with (
        application(echo.handle, **server_options) as echo.port,
        served(relay(echo.port, **options), road) as (port, _),
    ):
        yield echo, port


async def open_and_close(port: int, **options: Any) -> str:
    client = await RawClient.open(port, **options)
    await client.send(closing())
    await client.transcript()
    await client.close()
    return client.head


@roads
@pytest.mark.parametrize("origin", [PUBLIC_ORIGIN, None])
def test_own_pages_and_programs_without_an_origin_may_open(road: str, origin: str | None) -> None:
    async def story() -> None:
        async with echo_behind(road) as (echo, port):
            await open_and_close(port, headers=[f"Origin: {origin}"] if origin else [])
            assert len(echo.requests) == 1

    asyncio.run(story())


@roads
@pytest.mark.parametrize(
    "origins", [["https://evil.example.net"], ["null"], [PUBLIC_ORIGIN, "https://evil.example.net"]]
)
def test_a_foreign_origin_is_refused_before_the_application_hears_of_it(
    road: str, origins: list[str]
) -> None:
    async def story() -> None:
        async with echo_behind(road) as (echo, port):
            with pytest.raises(RefusedHandshake) as refused:
                await RawClient.open(port, headers=[f"Origin: {origin}" for origin in origins])
            if road == RAW or len(origins) == 1:  # stock servers refuse a second Origin themselves
                assert refused.value.status == 403
                assert refused.value.body == b'{"error": "foreign_origin"}'
            assert echo.requests == []

    asyncio.run(story())


@roads
def test_the_application_gets_the_target_and_headers_as_they_came(road: str) -> None:
    async def story() -> None:
        async with echo_behind(road) as (echo, port):
            await open_and_close(
                port,
                path="/live/%7Euser%2Fx?q=%20&r",
                headers=["Remote-User: dana", f"Origin: {PUBLIC_ORIGIN}"],
            )
            request = echo.requests[0]
            assert request.path == "/live/%7Euser%2Fx?q=%20&r"
            assert request.headers["Remote-User"] == "dana"
            assert request.headers["Host"] == "office.example.com"
            assert request.headers["Origin"] == PUBLIC_ORIGIN
            assert len(request.headers.get_all("Sec-WebSocket-Key")) == 1

    asyncio.run(story())


def test_with_its_own_host_the_application_sees_its_own_origin_too() -> None:
    async def story() -> None:
        async with echo_behind(RAW, host_policy="rewrite") as (echo, port):
            await open_and_close(port, headers=[f"Origin: {PUBLIC_ORIGIN}"])
            assert echo.requests[0].headers["Host"] == f"127.0.0.1:{echo.port}"
            assert echo.requests[0].headers["Origin"] == f"http://127.0.0.1:{echo.port}"

    asyncio.run(story())


@roads
def test_the_application_chooses_the_subprotocol(road: str) -> None:
    async def story() -> None:
        async with echo_behind(road, subprotocols=["v2.office", "v1.office"]) as (_, port):
            head = await open_and_close(port, headers=["Sec-WebSocket-Protocol: v1.office, v3.office"])
            assert "sec-websocket-protocol: v1.office\r\n" in head.lower()
        async with echo_behind(road) as (_, port):
            head = await open_and_close(port, headers=["Sec-WebSocket-Protocol: v1.office"])
            assert "sec-websocket-protocol" not in head.lower()

    asyncio.run(story())


def test_compression_is_agreed_on_end_to_end() -> None:
    async def story() -> None:
        async with echo_behind(RAW) as (_, port):
            uri = f"ws://127.0.0.1:{port}/"
            async with websockets.connect(uri, compression="deflate", proxy=None) as client:
                assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
                for message in ("x" * 100_000, b"\0" * 100_000, ""):
                    await client.send(message)
                    assert await client.recv() == message

    asyncio.run(story())


def test_an_extension_that_could_change_frames_is_not_offered_on() -> None:
    async def story() -> None:
        async with echo_behind(RAW) as (echo, port):
            await open_and_close(port, headers=["Sec-WebSocket-Extensions: x-multiplex; a=1"])
            assert "Sec-WebSocket-Extensions" not in echo.requests[0].headers

    asyncio.run(story())


@pytest.mark.parametrize(
    ("options", "status"), [({"version": "8"}, 426), ({"key": "short"}, 400), ({"version": "7"}, 426)]
)
def test_a_wrong_hand_shake_is_refused_before_the_application_hears_of_it(
    options: dict[str, Any], status: int
) -> None:
    async def story() -> None:
        async with echo_behind(RAW) as (echo, port):
            with pytest.raises(RefusedHandshake) as refused:
                await RawClient.open(port, **options)
            assert refused.value.status == status
            assert ("sec-websocket-version: 13" in refused.value.head.lower()) is (status == 426)
            assert echo.requests == []

    asyncio.run(story())


@roads
@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 500, 503])
def test_the_application_s_refusal_reaches_the_client(road: str, status: int) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(HTTPStatus(status), f"because {status}\n")
        response.headers["X-Why"] = "reasons"
        response.headers["Location"] = "/elsewhere"
        return response

    async def story() -> None:
        async with echo_behind(road, process_request=refuse) as (_, port):
            with pytest.raises(RefusedHandshake) as refused:
                await RawClient.open(port)
            assert refused.value.status == status
            assert refused.value.body == f"because {status}\n".encode()
            assert "x-why: reasons\r\n" in refused.value.head.lower()
            assert "location: /elsewhere\r\n" in refused.value.head.lower()

    asyncio.run(story())


def test_frames_sent_together_with_either_half_of_the_hand_shake_arrive() -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send("welcome")
        await connection.send(await connection.recv())
        await connection.close()

    async def story() -> None:
        async with application(greet) as upstream, served(relay(upstream), RAW) as (port, _):
            client = await RawClient.open(port, early=masked(Opcode.TEXT, b"at once"))
            assert await client.frame() == (1, True, b"welcome")
            assert await client.frame() == (1, True, b"at once")
            assert await client.frame() == (8, True, b"\x03\xe8")
            await client.send(closing())
            assert await client.frame() is None
            await client.close()

    asyncio.run(story())


def test_the_gate_cleans_the_acceptance_s_headers() -> None:
    seen: list[tuple[int, list[tuple[bytes, bytes]]]] = []

    def clean(status: int, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        seen.append((status, headers))
        return [(b"x-clean", b"1")]

    async def story() -> None:
        async with application(EchoApplication().handle) as upstream:
            inner = relay(upstream)

            async def gate(scope: Scope, receive: Receive, send: Send) -> None:
                scope["gatekeeper.answer_headers"] = clean
                await inner(scope, receive, send)

            async with served(gate, RAW) as (port, _):
                head = await open_and_close(port)
        assert "x-clean: 1\r\n" in head
        assert "server: " not in head.lower()
        assert seen[0][0] == 101

    asyncio.run(story())


# Without a server: what the relay raises


async def call(app: WebSocketRelay) -> None:
    """One plain hand-shake that must fail before anything is sent."""

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    scope = {
        "type": "websocket",
        "raw_path": b"/",
        "query_string": b"",
        "headers": [(b"host", b"office.example.com")],
        "subprotocols": [],
    }
    await app(scope, receive, send)


async def failure_of(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> UpstreamFailure:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        limits = UpstreamLimits(response_timeout=0.2)
        app = relay(server.sockets[0].getsockname()[1], limits=limits)
        with pytest.raises(UpstreamFailure) as failure:
            await call(app)
    return failure.value


def test_an_application_that_is_down_is_502() -> None:
    async def story() -> None:
        async with application(EchoApplication().handle) as port:
            app = relay(port)
        with pytest.raises(UpstreamFailure) as failure:
            await call(app)
        assert failure.value.status == 502

    asyncio.run(story())


def test_an_application_that_does_not_answer_is_504_and_let_go() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    async def story() -> None:
        assert (await failure_of(silent)).status == 504
        await asyncio.wait_for(gone.wait(), 2)

    asyncio.run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 101 Switching",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ],
)
def test_an_application_that_breaks_the_hand_shake_is_502(answer: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def story() -> None:
        assert (await failure_of(broken)).status == 502

    asyncio.run(story())


# Other ways to the application


def test_an_application_behind_tls_is_verified() -> None:
    authority = trustme.CA()
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_context)
    trusting = make_ssl_context()
    authority.configure_trust(trusting)

    async def story() -> None:
        echo = EchoApplication()
        async with application(echo.handle, ssl=server_context) as upstream:
            origin = Origin.parse(f"https://localhost:{upstream}")
            app = WebSocketRelay(origin, allowed_origins=[PUBLIC_ORIGIN], ssl_context=trusting)
            async with served(app, RAW) as (port, _):
                client = await RawClient.open(port)
                await client.send(masked(Opcode.BINARY, b"x" * 300_000))
                assert await client.frame() == (2, True, b"x" * 300_000)
                await client.send(closing(3001, b"done"))
                assert await client.transcript() == [("close", 3001)]
                await client.close()
            with pytest.raises(UpstreamFailure) as failure:
                await call(WebSocketRelay(origin, allowed_origins=[PUBLIC_ORIGIN]))
        assert failure.value.reason == "upstream_tls"
        assert echo.closed == [(3001, "done")]

    asyncio.run(story())


def test_an_application_on_a_unix_socket(tmp_path: Path) -> None:
    async def story() -> None:
        echo = EchoApplication()
        path = str(tmp_path / "app.sock")
        app = WebSocketRelay(Origin.parse(f"unix:{path}"), allowed_origins=[PUBLIC_ORIGIN])
        async with unix_serve(echo.handle, path), served(app, RAW) as (port, _):
            client = await RawClient.open(port)
            await client.send(masked(Opcode.TEXT, b"hello"))
            assert await client.frame() == (1, True, b"hello")
            await client.send(closing())
            assert await client.transcript() == [("close", 1000)]
            await client.close()

    asyncio.run(story())
