"""Writes to a database until it is killed: after each commit a line says so, outside of the database."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import sqlalchemy as sa

from gatekeeper.storage.engine import Database
from gatekeeper.storage.revocations import revoke_user
from gatekeeper.storage.tables import sessions, tokens, users


async def main(path: Path, number: int) -> None:
    db = Database(f"sqlite:///{path}")
    await db.open()
    print("ready", flush=True)
    while True:
        number += 1
        async with db.begin() as conn:  # a counter, a used token, a revocation: all three or none
            await conn.execute(sa.update(users).values(failures=number))
            await conn.execute(
                sa.insert(tokens).values(
                    hash=number.to_bytes(32, "big"), purpose="x", created_at=0, expires_at=1, used_at=number
                )
            )
            await revoke_user(conn, 1, float(number))
        print(number, flush=True)
        async with db.begin(durable=False) as conn:  # what is written behind, in between
            await conn.execute(sa.update(sessions).values(last_seen_at=float(number)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
