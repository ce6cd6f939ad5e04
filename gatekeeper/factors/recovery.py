"""Recovery codes: for somebody whose phone is gone. Shown once, single use, stored as hashes.

Each holds 120 random bits, so that a fast hash keeps it (ASVS 5.0 V6.5.2 asks for 112 without a slow one).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from typing import TYPE_CHECKING

import sqlalchemy as sa

from gatekeeper.factors.protocol import Outcome
from gatekeeper.storage.tables import recovery_codes

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

COUNT = 10
LENGTH = 24
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base32: none of i, l, o and u, which are misread."""
_MISREAD = str.maketrans("ilo", "110")
_IGNORED = re.compile(r"[\s\u00a0\u2010-\u2015-]+")
_CODE = re.compile(f"[{_ALPHABET}]{{{LENGTH}}}\\Z")


class RecoveryCodes:
    """The sheet of paper in the drawer."""

    method = "recovery"

    def claims(self, code: str) -> bool:
        return _CODE.match(clean(code)) is not None

    async def renew(self, conn: AsyncConnection, user_id: int, now: float) -> list[str]:
        """Ten new codes in place of all earlier ones. Nobody can read them again."""
        codes = [generate() for _ in range(COUNT)]
        await self.remove(conn, user_id)
        await conn.execute(
            sa.insert(recovery_codes),
            [{"user_id": user_id, "hash": _hash(user_id, code), "created_at": now} for code in codes],
        )
        return codes

    async def accept(
        self, conn: AsyncConnection, user_id: int, code: str, now: float, *, usable: bool = True
    ) -> Outcome:
        mine = (recovery_codes.c.user_id == user_id, recovery_codes.c.hash == _hash(user_id, code))
        known = (await conn.execute(sa.select(sa.literal(1)).where(*mine))).first() is not None
        done = await conn.execute(
            sa.update(recovery_codes)
            .where(*mine, recovery_codes.c.used_at.is_(None), sa.literal(usable))
            .values(used_at=now)
        )
        if done.rowcount == 1:
            return Outcome.ACCEPTED
        return Outcome.USED if known else Outcome.WRONG

    async def left(self, conn: AsyncConnection, user_id: int) -> int:
        """How many are unused."""
        mine = (recovery_codes.c.user_id == user_id, recovery_codes.c.used_at.is_(None))
        query = sa.select(sa.func.count()).select_from(recovery_codes).where(*mine)
        return int(await conn.scalar(query) or 0)

    async def remove(self, conn: AsyncConnection, user_id: int) -> None:
        """Forget all of them."""
        await conn.execute(sa.delete(recovery_codes).where(recovery_codes.c.user_id == user_id))


def generate() -> str:
    """One code, in six groups of four."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, LENGTH, 4))


def clean(code: str) -> str:
    """`code` as it was made, however it was written down."""
    text = unicodedata.normalize("NFKC", code[:128]).lower().translate(_MISREAD)
    return _IGNORED.sub("", text)


def _hash(user_id: int, code: str) -> bytes:
    # With the account in it: who can write to the store cannot move a code of their own to another account.
    text = f"{user_id} {clean(code)}"
    return hashlib.sha256(b"gatekeeper recovery code " + text.encode("utf-8", "surrogatepass")).digest()
