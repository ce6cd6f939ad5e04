"""The second factor of an account: set up, asked for, replaced. ASVS 5.0 V6.5 and V6.6.

What is typed in counts into the same lockout as passwords, and is checked and settled in one transaction.
Setting one up, and taking one away, ends the account's other sessions: ASVS 5.0 V7.4.3 wants that offered
after every change of a factor, and whoever changes one because somebody else had it must not need to know.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from gatekeeper.accounts import rows
from gatekeeper.accounts.errors import AccountError, InvalidCode
from gatekeeper.accounts.rates import Attempt
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.core.session import UserRecord
from gatekeeper.core.users import login_key
from gatekeeper.factors import totp
from gatekeeper.factors.protocol import Outcome, SecondFactor
from gatekeeper.factors.recovery import RecoveryCodes
from gatekeeper.factors.totp import Totp
from gatekeeper.storage.revocations import revoke_user

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.devices import Devices
    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.accounts.rates import Rates
    from gatekeeper.accounts.second_factor_reset import SecondFactorReset
    from gatekeeper.storage.engine import Database


@dataclass(frozen=True, slots=True)
class TotpSetup:
    """What the set-up page shows. Holds the secret: for that page alone, and in no repr."""

    secret: str = field(repr=False)
    """Base32, 32 characters."""
    uri: str = field(repr=False)
    """otpauth://…, for the QR code (`factors.qr.svg`)."""
    account: str
    groups: str = field(repr=False)
    """The secret in groups of four."""


class SecondFactorPolicy(NamedTuple):
    """What the operator wants."""

    issuer: str
    """The name that an authenticator app shows above the account."""
    trust_for: float | None = None
    """Seconds for which a browser may be trusted instead of a code; None: never."""


class SecondFactors:
    """Sets up, checks and removes second factors."""

    def __init__(
        self,
        db: Database,
        box: SecretBox,
        policy: SecondFactorPolicy,
        *,
        reset: SecondFactorReset,
        lockout: Lockout,
        rates: Rates,
        devices: Devices,
        clock: Clock,
    ) -> None:
        """`box` is the one for `factors.totp.PURPOSE`."""
        self._db = db
        self._policy = policy
        self._reset = reset
        self._lockout = lockout
        self._rates = rates
        self._devices = devices
        self._clock = clock
        self._totp = Totp(box)
        self._recovery = RecoveryCodes()
        self._factors: tuple[SecondFactor, ...] = (
            self._recovery,
            self._totp,
        )

    async def begin(self, user: UserRecord, *, session: bytes) -> TotpSetup:
        """What to show on the set-up page of the session with the key `session`, and of no other session:
        who has the password, too, must not learn what the owner is about to confirm.

        Nothing is asked for at sign-in before `confirm`. Raises `AccountError` `second_factor_exists` (it is
        never shown again and never replaced: remove it first), `StoreUnavailable`.
        """
        async with self._db.read() as conn:
            secret = await self._totp.begin(conn, user.id, self._clock(), session=session)
        if secret is None:
            raise AccountError("second_factor_exists", "a second factor is set up already")
        uri = totp.uri(secret, account=user.login, issuer=self._policy.issuer)
        return TotpSetup(secret=secret, uri=uri, account=user.login, groups=totp.groups(secret))

    async def confirm(self, user: UserRecord, code: str, *, by: Source, session: bytes) -> list[str]:
        """Switch the second factor on that `begin` showed; ten recovery codes, never to be seen again.

        `code` is one from the app and is used up. The session with the key `session` goes on (step it up with
        "otp"), all others end, and what they were shown is worth nothing. Wrong codes count into the rates
        but not into the lockout: the secret is on the very page, there is nothing to guess. Raises
        `InvalidCode` (also when nothing was shown lately), `RateLimited`, `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            await self._rate(conn, user, client=by.client, request_id=by.request_id)
            now = self._clock()
            present = await rows.read_user(conn, user_id=user.id, lock=True)
            right = present is not None and await self._totp.confirm(
                conn, user.id, code, now, session=session
            )
            codes = await self._recovery.renew(conn, user.id, now) if right else []
            if right:
                await revoke_user(conn, user.id, now, keep=(session,))
                await self._reset.tell(conn, EventKind.SECOND_FACTOR_SET_UP, user, by, change="added")
        if not right:
            raise InvalidCode
        return codes

    async def verify(
        self,
        user: UserRecord,
        code: str,
        *,
        device: str | None,
        client: str = "",
        request_id: str = "",
    ) -> str:
        """Use up a code from the app or a recovery code; the method that was proved ("otp", "recovery").

        `device` is the device cookie's value. Raises `InvalidCode` after the same statements whether the code
        is wrong or was used, the account is locked or disabled, or nothing is set up; `RateLimited`;
        `SealBroken` (nothing is counted then, and nobody passes); `StoreUnavailable`. What is counted here is
        set back by a complete sign-in alone.
        """
        factor = next((one for one in self._factors if one.claims(code)), self._totp)
        async with self._db.begin() as conn:
            await self._rate(conn, user, device=device, client=client, request_id=request_id)
            present = await rows.read_user(conn, user_id=user.id, lock=True)
            ticket = await self._lockout.reserve(conn, user.id, device)
            usable = ticket is not None and present is not None and not present.disabled
            with _named(user):
                outcome = await factor.accept(conn, user.id, code, self._clock(), usable=usable)
            by = Source(user.login, client, request_id)
            if ticket is not None and outcome is not Outcome.WRONG:
                # A code sent twice (two tabs, an impatient finger) is refused, but it is no guess.
                await self._lockout.passed(conn, ticket)
            if outcome is Outcome.ACCEPTED:
                await self._reset.write(conn, EventKind.CODE_ACCEPTED, user, by, method=factor.method)
            else:
                why = "locked" if ticket is None else "disabled" if not usable else _WHY[outcome]
                if ticket is None or outcome is Outcome.WRONG:
                    await self._lockout.failed(conn, ticket, client=client, request_id=request_id)
                await self._reset.write(
                    conn, EventKind.SIGN_IN_FAILED, user, by, reason=why, method=factor.method
                )
        if outcome is not Outcome.ACCEPTED:
            raise InvalidCode
        return factor.method

    async def new_recovery_codes(self, user: UserRecord, by: Source) -> list[str]:
        """Ten codes in place of all earlier ones, shown once. Ask for the second factor (`verify`) before.

        Raises `AccountError` `no_second_factor`, `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            await self._need_factor(conn, user)
            codes = await self._recovery.renew(conn, user.id, self._clock())
            await self._reset.tell(conn, EventKind.RECOVERY_CODES_RENEWED, user, by, change="recovery_codes")
        return codes

    async def recovery_codes_left(self, user_id: int) -> int:
        """How many recovery codes are unused. Raises `StoreUnavailable`."""
        async with self._db.read() as conn:
            return await self._recovery.left(conn, user_id)

    async def remove(self, user: UserRecord, by: Source, *, keep: bytes | None) -> None:
        """Switch the second factor off, or give up one phone for another: then `begin` follows.

        Ask for the second factor (`verify`) before. Where one is mandatory the session with the key `keep` is
        led to the set-up page; all other sessions end. Raises `AccountError` `no_second_factor`,
        `StoreUnavailable`.
        """
        async with self._db.begin() as conn:
            await self._need_factor(conn, user)
            await self._reset.forget(conn, user.id)
            await revoke_user(conn, user.id, self._clock(), keep=() if keep is None else (keep,))
            await self._reset.tell(conn, EventKind.SECOND_FACTOR_REMOVED, user, by, change="removed")

    async def reset(self, user_id: int, by: Source) -> bool:
        """As `SecondFactorReset.reset`: an administrator takes it away; every session ends."""
        return await self._reset.reset(user_id, by)

    @property
    def trust_for(self) -> float | None:
        """Seconds for which a browser may be trusted instead of a code; None: that is not offered."""
        return self._policy.trust_for

    async def trust(self, user: UserRecord, device: str | None, *, by: Source | None = None) -> bool:
        """Ask no code of this browser for a while, after it proved one. `device` is what `SignIn.completed`
        returned; False when it is unknown or trust is not offered. Raises `StoreUnavailable`.
        """
        if self._policy.trust_for is None:
            return False
        async with self._db.begin() as conn:
            until = self._clock() + self._policy.trust_for
            done = await self._devices.trust(conn, user.id, device, until)
            if done:
                await self._reset.write(conn, EventKind.BROWSER_TRUSTED, user, by or Source(user.login))
        return done

    async def trusted(self, user: UserRecord, device: str | None) -> bool:
        """Whether this browser needs no code: then `core.steps.TRUSTED` belongs into the session's methods.

        Raises `StoreUnavailable`.
        """
        if self._policy.trust_for is None:
            return False
        async with self._db.read() as conn:
            return await self._devices.trusted(conn, user.id, device, self._clock())

    async def _rate(
        self,
        conn: AsyncConnection,
        user: UserRecord,
        *,
        device: str | None = None,
        client: str,
        request_id: str,
    ) -> None:
        known = await self._devices.find(conn, user.id, device)
        account = login_key(user.login)
        await self._rates.take(
            conn, Attempt.CODE, account=account, client=client, device=known, request_id=request_id
        )

    async def _need_factor(self, conn: AsyncConnection, user: UserRecord) -> None:
        present = await rows.locked_user(conn, user.id)
        if not present.second_factor:
            raise AccountError("no_second_factor", "no second factor is set up")


_WHY = {Outcome.WRONG: "wrong", Outcome.USED: "used_before"}


@contextlib.contextmanager
def _named(user: UserRecord) -> Iterator[None]:
    """Say to the operator whose secret cannot be decrypted, and what to do."""
    try:
        yield
    except SealBroken as error:
        raise SealBroken(
            f"the second factor of {user.login} cannot be decrypted: put the earlier secret back as a second "
            f"one in `secret`, or run `gatekeeper user reset-2fa {user.login}`"
        ) from error
