"""One at a time for each key: attempts on one account wait for each other instead of racing.

Without turns, a sixth tab with the right password would be refused while five others are being verified.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Hashable

from gatekeeper.core.errors import Overloaded


class Turns:
    """Locks by key; a key that nobody waits for takes no memory."""

    def __init__(self, *, most: int = 256) -> None:
        """`most` may wait for one key, the one whose turn it is among them."""
        self._most = most
        self._lines: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def take(self, key: Hashable) -> AsyncIterator[None]:
        """Wait for the others with this key. Raises `Overloaded` when there are too many."""
        lock, waiting = self._lines.get(key) or (asyncio.Lock(), 0)
        if waiting >= self._most:
            raise Overloaded("too many attempts wait for one account", reason="turns_full")
        self._lines[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._lines.pop(key)
            if waiting > 1:
                self._lines[key] = (lock, waiting - 1)
