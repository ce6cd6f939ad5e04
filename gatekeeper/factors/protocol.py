"""What every second factor that is typed in can do."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Outcome(Enum):
    """What became of a code."""

    ACCEPTED = auto()
    USED = auto()
    """It is, or lately was, a right one, but may not be used (again): as good as wrong, but no guess."""
    WRONG = auto()


class SecondFactor(Protocol):
    """Checks one kind of code. Everything happens in the caller's transaction; times are epoch seconds.

    Whoever implements it promises: each code is accepted once, by one conditional statement, however many
    attempts come in parallel; the same statements run whether the account has such a factor or not; nothing
    that was typed in is kept, logged or raised.
    """

    method: str
    """Its name in `SessionRecord.methods` (RFC 8176 where that has one)."""

    def claims(self, code: str) -> bool:
        """Whether `code` looks like one of this kind. A code is claimed by one kind at most."""

    async def accept(
        self, conn: AsyncConnection, user_id: int, code: str, now: float, *, usable: bool = True
    ) -> Outcome:
        """Use `code` up, if it is right and unused.

        With `usable` false it is not accepted and stays unused, after the same work. Raises
        `core.secretbox.SealBroken` when the secret cannot be decrypted, `StoreUnavailable`.
        """
