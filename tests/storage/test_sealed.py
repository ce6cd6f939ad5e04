"""Everything stored encrypted, under a new secret."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from gatekeeper.cli.secret import SEALED
from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.storage import sealed as module
from gatekeeper.storage import tables
from gatekeeper.storage.engine import Database
from gatekeeper.storage.sealed import Resealed, Sealed, reseal

OLD, NEW, FOREIGN = (f"{which} secret, the same in every test" for which in ("old", "new", "foreign"))
OUTBOX = Sealed("waiting mails", "outbox", tables.outbox.c.content)


def tell(folder: Path, story: Callable[[Database], Awaitable[None]]) -> None:
    async def told() -> None:
        db = Database(f"sqlite:///{folder / 'gatekeeper.db'}", data_dir=folder)
        await db.open()
        try:
            await story(db)
        finally:
            await db.close()

    asyncio.run(told())


async def post(db: Database, *contents: bytes | None) -> None:
    rows = [
        {"kind": "x", "recipient": "x", "content": content, "created_at": 1.0, "next_attempt_at": 1.0}
        for content in contents
    ]
    async with db.begin() as conn:
        await conn.execute(sa.insert(tables.outbox), rows)


async def contents(db: Database) -> list[bytes | None]:
    async with db.read() as conn:
        return list(await conn.scalars(sa.select(tables.outbox.c.content).order_by(tables.outbox.c.id)))


def test_what_is_under_older_secrets_moves_under_the_first(tmp_path: Path) -> None:
    async def story(db: Database) -> None:
        old, new = SecretBox([OLD], "outbox"), SecretBox([NEW], "outbox")
        lost = SecretBox([FOREIGN], "outbox").seal(b"lost")
        await post(db, old.seal(b"one"), None, new.seal(b"two"), lost, old.seal(b"three"))
        before = await contents(db)
        assert await reseal(db, OUTBOX, [NEW, OLD]) == Resealed("waiting mails", 2, 1, (4,))
        after = await contents(db)
        assert [new.open(after[place] or b"") for place in (0, 2, 4)] == [b"one", b"two", b"three"]
        assert (after[1], after[2], after[3]) == (None, before[2], lost), "these stay as they are"
        with pytest.raises(SealBroken):
            old.open(after[0] or b"")
        assert await reseal(db, OUTBOX, [NEW]) == Resealed("waiting mails", 0, 3, (4,))

    tell(tmp_path, story)


def test_more_rows_than_a_transaction_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)

    async def story(db: Database) -> None:
        old = SecretBox([OLD], "outbox")
        await post(db, *(old.seal(b"mail") for _ in range(7)))
        assert (await reseal(db, OUTBOX, [NEW, OLD])).done == 7

    tell(tmp_path, story)


def test_what_waits_is_sent_and_erased_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 1)

    async def story(db: Database) -> None:
        old = SecretBox([OLD], "outbox")
        await post(db, *(old.seal(b"mail") for _ in range(20)))

        async def sender() -> None:
            for number in range(20, 0, -1):
                async with db.begin() as conn:
                    await conn.execute(
                        sa.update(tables.outbox).where(tables.outbox.c.id == number).values(content=None)
                    )

        await asyncio.gather(reseal(db, OUTBOX, [NEW, OLD]), sender())
        assert await contents(db) == [None] * 20, "nothing erased comes back"

    tell(tmp_path, story)


def test_nothing_encrypted_is_forgotten() -> None:
    """Hashes have a length; what has none is encrypted. A new such column belongs into the rotation."""
    encrypted = {
        column
        for table in tables.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary) and column.type.length is None
    }
    assert encrypted == {sealed.column for sealed in SEALED}
