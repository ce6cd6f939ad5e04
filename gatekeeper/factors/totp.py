"""Time-based one-time passwords: RFC 6238 with SHA-1, 6 digits and 30 seconds, as every app assumes."""

from __future__ import annotations

import base64
import hmac
import re
import unicodedata
from typing import TYPE_CHECKING

import pyotp
import sqlalchemy as sa

from gatekeeper.core.secretbox import SecretBox
from gatekeeper.factors.protocol import Outcome
from gatekeeper.storage.tables import totp

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

PURPOSE = "totp"
"""Of the SecretBox that seals the secrets."""
STEP = 30
"""Seconds for which an app shows a code. RFC 6238 section 4.1."""
DRIFT = 1
"""Steps that a phone's clock may be off, either way. RFC 6238 section 5.2 recommends no more."""
SHOWN = 600.0
"""Seconds after which the set-up page shows another secret: as long as a sign-in may take. The one before
can still be confirmed, so that whoever was shown one has this long, or up to twice as long, for it."""

_DIGITS = re.compile(r"[0-9]{6}\Z")
_IGNORED = re.compile(r"[\s\u00a0-]+")


class Totp:
    """The authenticator app. The store holds its secrets encrypted."""

    method = "otp"

    def __init__(self, box: SecretBox) -> None:
        """`box` is the one for PURPOSE."""
        self._box = box
        # An account without a secret costs as much as one with: this one is opened for it.
        self._nobodys = box.seal(pyotp.random_base32().encode("ascii"))

    def claims(self, code: str) -> bool:
        return _DIGITS.match(clean(code)) is not None

    async def begin(self, conn: AsyncConnection, user_id: int, now: float, *, session: bytes) -> str | None:
        """The secret (base32, 160 bits) to be shown on the set-up page; None when one is confirmed already.

        It belongs to the session with the key `session`: whoever is signed in to the account elsewhere, by
        knowing the password, is shown another one. Nothing is stored before `confirm`. Every SHOWN seconds
        it changes: what somebody saw here long ago becomes nobody's second factor.
        """
        query = sa.select(totp.c.user_id).where(totp.c.user_id == user_id, totp.c.confirmed_at.is_not(None))
        if await conn.scalar(query) is not None:
            return None
        return self._shown(user_id, session, int(now // SHOWN))

    async def confirm(
        self, conn: AsyncConnection, user_id: int, code: str, now: float, *, session: bytes
    ) -> bool:
        """Make what `session` was shown the account's second factor, if `code` is right. Uses it up.

        Lock the account's row before. False, too, when another session was faster.
        """
        if await self.begin(conn, user_id, now, session=session) is None:
            return False
        period = int(now // SHOWN)
        for secret in (self._shown(user_id, session, period), self._shown(user_id, session, period - 1)):
            for step in matching_steps(secret, code, now):
                await conn.execute(sa.delete(totp).where(totp.c.user_id == user_id))
                await conn.execute(
                    sa.insert(totp).values(
                        user_id=user_id,
                        secret=self._box.seal(secret.encode("ascii")),
                        created_at=now,
                        confirmed_at=now,
                        last_step=step,
                    )
                )
                return True
        return False

    def _shown(self, user_id: int, session: bytes, period: int) -> str:
        """160 bits in base32. A session's key is the hash of 32 random bytes, so no two are alike."""
        derived = self._box.derive(b"set-up %d %d " % (user_id, period) + session)
        return base64.b32encode(derived[:20]).decode("ascii")

    async def accept(
        self, conn: AsyncConnection, user_id: int, code: str, now: float, *, usable: bool = True
    ) -> Outcome:
        """RFC 6238 section 5.2: a code is accepted once, and none from before it afterwards."""
        steps = await self._matching(conn, user_id, code, now, totp.c.confirmed_at.is_not(None))
        for step in steps or [0]:  # the same statement for a wrong code: no step is before the first
            done = await conn.execute(
                sa.update(totp)
                .where(
                    totp.c.user_id == user_id,
                    totp.c.confirmed_at.is_not(None),
                    totp.c.last_step < step,
                    sa.literal(usable),
                )
                .values(last_step=step)
            )
            if done.rowcount == 1:
                return Outcome.ACCEPTED
        return Outcome.USED if steps else Outcome.WRONG

    async def remove(self, conn: AsyncConnection, user_id: int) -> bool:
        """Forget the secret; whether it was in use."""
        gone = sa.delete(totp).where(totp.c.user_id == user_id).returning(totp.c.confirmed_at)
        return await conn.scalar(gone) is not None

    async def _matching(
        self, conn: AsyncConnection, user_id: int, code: str, now: float, *where: sa.ColumnElement[bool]
    ) -> list[int]:
        query = sa.select(totp.c.secret).where(totp.c.user_id == user_id, *where)
        sealed: bytes | None = await conn.scalar(query)
        secret = self._box.open(self._nobodys if sealed is None else sealed).decode("ascii")
        steps = matching_steps(secret, code, now)
        return steps if sealed is not None else []


def clean(code: str) -> str:
    """`code` without the spaces that apps show and people copy; digits of every script become ASCII's."""
    return _IGNORED.sub("", unicodedata.normalize("NFKC", code[:64]))


def matching_steps(secret: str, code: str, now: float) -> list[int]:
    """The time steps around `now` whose code this is, the earliest first. Compares all, in constant time."""
    typed = clean(code).encode("utf-8", "replace")
    generator = pyotp.TOTP(secret, interval=STEP)
    current = int(now) // STEP
    return [
        step
        for step in range(max(0, current - DRIFT), current + DRIFT + 1)
        if hmac.compare_digest(generator.generate_otp(step).encode("ascii"), typed)
    ]


def uri(secret: str, *, account: str, issuer: str) -> str:
    """What the QR code says to the app: otpauth://totp/… (Key URI Format of Google Authenticator).

    A colon separates issuer and account there, so that neither may hold one.
    """
    names = [" ".join(name.replace(":", " ").split()) for name in (account, issuer)]
    return pyotp.TOTP(secret, interval=STEP).provisioning_uri(name=names[0], issuer_name=names[1])


def groups(secret: str) -> str:
    """`secret` in groups of four, as people can type it; apps ignore the spaces."""
    return " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
