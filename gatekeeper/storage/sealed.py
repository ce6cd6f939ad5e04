"""What is stored encrypted: all of it under the first secret again, after a new one was put in front.

Row by row, and only where nothing changed in between, so that it may run beside the server. A process that
does not know the first secret yet cannot read what this wrote: restart them all before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from gatekeeper.core.secretbox import SealBroken, SecretBox

if TYPE_CHECKING:
    from gatekeeper.storage.engine import Database

_BATCH = 200
"""Rows in one transaction: sign-ins wait for it."""


class Sealed(NamedTuple):
    """One encrypted column; its table has one primary key column."""

    what: str
    """Its content in words, in the plural."""
    purpose: str
    """Of the SecretBox."""
    column: sa.Column[bytes]

    @property
    def key(self) -> sa.Column[Any]:
        (key,) = self.column.table.primary_key.columns
        return key


class Resealed(NamedTuple):
    """What became of one column."""

    what: str
    done: int
    """Encrypted anew."""
    already: int
    """Under the first secret already."""
    broken: tuple[int | str, ...]
    """Keys of rows (bytes in hexadecimal) that none of the secrets opens; they stay as they are."""


async def reseal(db: Database, sealed: Sealed, secrets: Sequence[str]) -> Resealed:
    """Encrypt the column under the first of `secrets`, whichever it is under. Raises StoreUnavailable."""
    every, first = SecretBox(secrets, sealed.purpose), SecretBox(secrets[:1], sealed.purpose)
    done = already = 0
    broken: list[int | str] = []
    after: Any = None
    while True:
        query = sa.select(sealed.key, sealed.column).where(sealed.column.is_not(None))
        if after is not None:
            query = query.where(sealed.key > after)
        async with db.begin() as conn:
            batch = (await conn.execute(query.order_by(sealed.key).limit(_BATCH))).all()
            for key, content in batch:
                if _opens(first, content):
                    already += 1
                    continue
                try:
                    fresh = every.reseal(content)
                except SealBroken:
                    broken.append(key.hex() if isinstance(key, bytes) else key)
                    continue
                same = (sealed.key == key, sealed.column == content)
                changed = await conn.execute(
                    sa.update(sealed.column.table).where(*same).values({sealed.column.name: fresh})
                )
                done += changed.rowcount
        if not batch:
            return Resealed(sealed.what, done, already, tuple(broken))
        after = batch[-1][0]


def _opens(box: SecretBox, content: bytes) -> bool:
    try:
        box.open(content)
    except SealBroken:
        return False
    return True
