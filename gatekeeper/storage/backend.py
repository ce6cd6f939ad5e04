"""What `storage.engine.Database` needs of a kind of database: one file for each kind implements it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine


class Engines(NamedTuple):
    """Connection pools, by what their connections may do."""

    reading: AsyncEngine
    """A transaction sees one state and cannot write."""
    durable: AsyncEngine
    """A commit is on the disk when it returns."""
    quick: AsyncEngine
    """A commit is seen by everybody when it returns; a power cut may lose the last seconds."""


class Backend(Protocol):
    """One kind of database."""

    name: str
    """For operators; never holds a password."""
    writers: int
    """Write transactions that this process may have under way."""

    def make_engines(self) -> Engines: ...

    def migrate(self, *, create: bool) -> Path | None:
        """Bring the tables to this version; the backup's path when one was made. Blocking.

        Without `create` a database without tables is refused. Raises DatabaseUnusable.
        """
