"""The internals of uvicorn that the server protocol leans on: a new uvicorn that moves them fails here."""

from __future__ import annotations

import asyncio
import inspect

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected, get_local_addr, get_remote_addr, is_ssl
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server, ServerState

from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.protocol import StrictProtocol, make_protocol
from gatekeeper.gate.server.run import StrictServer
from tests.server.memory import Bench
from tests.server.wire import Recorder


def parameters(function: object) -> list[str]:
    assert callable(function)
    return list(inspect.signature(function).parameters)


def test_a_protocol_is_made_like_uvicorns_own() -> None:
    expected = ["config", "server_state", "app_state", "_loop"]
    assert parameters(HttpToolsProtocol) == parameters(StrictProtocol) == expected
    assert parameters(WebSocketsSansIOProtocol) == expected


def test_the_shared_state_has_what_we_use() -> None:
    state = ServerState()
    assert (state.total_requests, state.connections, state.tasks) == (0, set(), set())
    assert state.default_headers == []


def test_the_server_stops_connections_by_shutdown_and_waits_for_the_two_sets() -> None:
    source = inspect.getsource(Server)
    assert "connection.shutdown()" in source
    assert "self.server_state.connections and" in source and "self.server_state.tasks and" in source
    assert "self.server_state.default_headers = " in source


def test_a_class_as_http_is_used_as_it_is() -> None:
    made = make_protocol()
    config = uvicorn.Config(Recorder(), http=made, ws="none", log_config=None, server_header=False)
    config.load()
    assert config.http_protocol_class is made and config.encoded_headers == []
    assert config.root_path == "" and config.loaded_app is not None


def test_starting_needs_nothing_else_of_the_server() -> None:
    source = inspect.getsource(Server.startup)
    for line in ("await self.lifespan.startup()", "self.lifespan.should_exit", "self.started = True"):
        assert line in source
    for line in ("config=config", "server_state=self.server_state", "app_state=self.lifespan.state"):
        assert line in source
    assert parameters(StrictServer.startup) == parameters(Server.startup)


def test_helpers_and_the_websocket_protocol_are_where_they_were() -> None:
    assert issubclass(ClientDisconnected, OSError)
    assert all(callable(helper) for helper in (get_local_addr, get_remote_addr, is_ssl))

    async def story() -> None:
        bench = Bench(Recorder())
        bench.config.load()
        protocol = WebSocketsSansIOProtocol(bench.config, bench.state, {})
        assert protocol.app is bench.config.loaded_app
        assert protocol.handshake_complete is False
        assert "self.app(self.scope, self.receive, self.send)" in inspect.getsource(protocol.run_asgi)

    asyncio.run(story())


def test_a_server_without_sockets_is_refused() -> None:
    config = uvicorn.Config(Recorder(), lifespan="off", log_config=None)
    with pytest.raises(ValueError, match="sockets"):
        asyncio.run(StrictServer(config, ServerLimits()).startup([]))
