"""The wrapped application's own lifespan, run inside ours (ASGI lifespan protocol 2.0)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gatekeeper.core.protocols import ASGIApp, Message, Scope


class LifespanFailed(Exception):
    """The application said that it cannot start, or that it did not stop cleanly."""


@contextlib.asynccontextmanager
async def inner_lifespan(app: ASGIApp, scope: Scope) -> AsyncIterator[None]:
    """Start `app`, and stop it afterwards. An application without lifespan is left alone.

    Raises LifespanFailed with the application's own message.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.get_running_loop().create_task(_run(app, dict(scope), inbox, outbox))
    try:
        supported = await _step("startup", inbox, outbox, task)
        yield
        if supported:
            await _step("shutdown", inbox, outbox, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _run(
    app: ASGIApp, scope: Scope, inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message]
) -> None:
    async def send(message: Message) -> None:
        outbox.put_nowait(message)

    await app(scope, inbox.get, send)


async def _step(
    stage: str, inbox: asyncio.Queue[Message], outbox: asyncio.Queue[Message], task: asyncio.Task[None]
) -> bool:
    """False when the application ended without an answer: it does not know the lifespan protocol."""
    inbox.put_nowait({"type": f"lifespan.{stage}"})
    answer = asyncio.get_running_loop().create_task(outbox.get())
    await asyncio.wait((answer, task), return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        return False
    message = answer.result()
    if message["type"] == f"lifespan.{stage}.failed":
        raise LifespanFailed(message.get("message", ""))
    return True
