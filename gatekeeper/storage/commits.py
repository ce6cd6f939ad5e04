"""What is said only once it is true: calls that wait for the commit of the transaction they belong to."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

_WAITING = "gatekeeper.after_commit"


def after_commit(conn: AsyncConnection, call: Callable[[], object]) -> None:
    """Call `call` right after the caller's transaction (`Database.begin`) is committed, else never."""
    conn.sync_connection.info.setdefault(_WAITING, []).append(call)  # type: ignore[union-attr]


def take_waiting(conn: AsyncConnection) -> list[Callable[[], object]]:
    """What waits for the commit on `conn`, in the order of asking; `Database.begin` asks."""
    taken: list[Callable[[], object]] = conn.sync_connection.info.pop(_WAITING, [])  # type: ignore[union-attr]
    return taken
