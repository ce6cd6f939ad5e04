"""WebSockets of an application in the same process: watched from outside, because it knows nothing of us."""

from __future__ import annotations

import asyncio

from gatekeeper.core.protocols import ASGIApp, Message, Receive, Scope, Send


async def run_websocket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run `app` for one WebSocket; close it with 1008 when the session behind it ends.

    Client frames count as activity. RFC 6455 section 7.4.1 (1008: policy violation).
    """
    task = asyncio.current_task()
    ended = False

    def end() -> None:
        nonlocal ended
        ended = True
        if task is not None:
            task.cancel()

    async def counted() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive":
            scope["gatekeeper.activity"]()
        return message

    stop = scope["gatekeeper.watch"](end)
    try:
        await app(scope, counted, send)
    except asyncio.CancelledError:
        if not ended or task is None:
            raise
        task.uncancel()
        await send({"type": "websocket.close", "code": 1008, "reason": "session ended"})
    finally:
        stop()
