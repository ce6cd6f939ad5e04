"""Writing down what happened: a row for the auditor, a JSON line for the operator's tools."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from gatekeeper.audit.events import EventKind
from gatekeeper.audit.sparing import Sparing
from gatekeeper.core.clock import Clock
from gatekeeper.storage import tables
from gatekeeper.storage.commits import after_commit

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.storage.engine import Database

Detail = str | int | float | bool | None | list[str]

_SECRET_WORDS = frozenset("password passwd pwd token secret cookie code codes hash key".split())
_MAX_TEXT = 512


OF_STRANGERS = (EventKind.FORM_REFUSED, EventKind.ADMINISTRATOR_LINK_REFUSED)
"""What anybody can cause by one cheap request: recorded at a limited rate, with a count of the others."""


class Emit(Protocol):
    """The part of a structlog logger that is used."""

    def info(self, event: str, /, **fields: Any) -> Any: ...


class AuditLog:
    """Records security events. ASVS 5.0 V16.3."""

    def __init__(self, db: Database, clock: Clock, emit: Emit) -> None:
        self._db = db
        self._clock = clock
        self._emit = emit
        self._sparing = {kind: Sparing(clock) for kind in OF_STRANGERS}

    async def record(
        self,
        kind: EventKind,
        *,
        user_id: int | None = None,
        login: str = "",
        actor: str = "",
        client: str = "",
        request_id: str = "",
        details: Mapping[str, Detail] | None = None,
        conn: AsyncConnection | None = None,
    ) -> None:
        """Write one row and one line.

        Raises `StoreUnavailable`, and `ValueError` for a detail that is named like a secret.
        With `conn` (of `Database.begin`) row and line stand or fall with the caller's transaction: the line
        is written when that is committed. `login` is that of an account that exists; what somebody typed
        into the login field may be a password and stays out.

        Of the kinds `OF_STRANGERS` only some a minute are recorded; the next one that is tells in its details
        how many were `not_recorded` before it.
        """
        sparing = self._sparing.get(kind)
        if sparing is None:
            await self._write(kind, user_id, login, actor, client, request_id, details or {}, conn)
            return
        if not sparing.allows(client):
            return
        missed = sparing.take_not_recorded()
        more = {"not_recorded": missed} if missed else {}
        try:
            await self._write(
                kind, user_id, login, actor, client, request_id, {**(details or {}), **more}, conn
            )
        except BaseException:
            sparing.give_back(missed + 1)
            raise

    async def _write(
        self,
        kind: EventKind,
        user_id: int | None,
        login: str,
        actor: str,
        client: str,
        request_id: str,
        details: Mapping[str, Detail],
        conn: AsyncConnection | None,
    ) -> None:
        event = {
            "at": self._clock(),
            "kind": kind.value,
            "user_id": user_id,
            "login": _storable(login),
            "actor": _storable(actor),
            "client": _storable(client),
            "request_id": _storable(request_id),
            "details": _checked(details),
        }
        statement = sa.insert(tables.audit_events).values(event)
        async with contextlib.nullcontext(conn) if conn is not None else self._db.begin() as within:
            await within.execute(statement)
            after_commit(within, lambda: self._emit.info("audit", **event))


def _checked(details: Mapping[str, Detail]) -> dict[str, Detail]:
    for name in details:
        if not _SECRET_WORDS.isdisjoint(name.lower().split("_")):
            raise ValueError(f"audit detail {name!r} is named like a secret")
    return {
        name: _storable(value)
        if isinstance(value, str)
        else [_storable(part) for part in value]
        if isinstance(value, list)
        else value
        for name, value in details.items()
    }


def _storable(text: str) -> str:
    """`text` as UTF-8 and PostgreSQL can hold it, and not endless: some of it comes from clients."""
    text = text[:_MAX_TEXT].replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")
