"""Accounts of people whom an identity provider vouches for: found, bound, made, or refused.

The first time, an account is found by what the provider calls the person (the user principal name), and bound
to the provider's immutable subject. From then on the subject alone counts: a name that is given to somebody
else later opens nothing. OpenID Connect Core section 5.7, ASVS 5.0 V10.3.3.

Roles that the provider's mapping can give are the provider's: at each sign-in they become what it says now.
All other roles were given here, and stay.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gatekeeper.accounts import fields, rows
from gatekeeper.accounts.errors import AccountError
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import GatekeeperError, Overloaded
from gatekeeper.core.session import UserRecord
from gatekeeper.core.users import login_key
from gatekeeper.storage.revocations import revoke_user, user_changed
from gatekeeper.storage.tables import identities

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.accounts.lockout import Lockout
    from gatekeeper.accounts.users import NewUser, Users
    from gatekeeper.audit.log import AuditLog, Detail
    from gatekeeper.providers.protocol import Claims
    from gatekeeper.storage.engine import Database

_TRIES = 3
"""Transactions, when others bind or make the same account in the same moment."""
_LONGEST_SUBJECT = 255
"""Characters (OpenID Connect Core section 2); Entra's `tid:oid` has 73."""


class ProviderPolicy(NamedTuple):
    """What the operator wants of one provider."""

    provision: bool = False
    """Make an account for whoever has none; with a role mapping, only for whoever gets a role by it."""
    managed_roles: frozenset[str] = frozenset()
    """The roles that its mapping can give."""


class FederationRefused(GatekeeperError):
    """The provider proved who it is, and that person may not sign in here.

    `reason` is one of:

    - `unknown_user`: no account, and none is made;
    - `disabled`, `locked`: the account is closed, for good or until it is unlocked;
    - `other_person`: the account of this name is bound to another subject of this provider;
    - `no_role`: an account would be made if the provider's groups gave a role;
    - `groups_incomplete`: the provider did not say all groups, so that roles cannot be told.
    """

    reason = "unknown_user"


class _Raced(Exception):
    """Somebody else bound or made the same in this moment: look again."""


class Federation:
    """First factors that identity providers proved."""

    def __init__(
        self,
        db: Database,
        users: Users,
        lockout: Lockout,
        audit: AuditLog,
        clock: Clock,
        *,
        policies: Mapping[str, ProviderPolicy],
    ) -> None:
        """`policies` by the provider's name; a provider without one provisions nobody and maps no roles."""
        self._db = db
        self._users = users
        self._lockout = lockout
        self._audit = audit
        self._clock = clock
        self._policies = dict(policies)

    async def sign_in(
        self, claims: Claims, *, device: str | None = None, client: str = "", request_id: str = ""
    ) -> UserRecord:
        """The account of the person behind `claims`, which must have been verified, with today's roles.

        `device` is the device cookie's value: a browser that is known to the account has a lock of its own.
        Raises `FederationRefused`, `Overloaded`, `StoreUnavailable`. What it answers goes to somebody who
        proved to be that very person at the provider, and is about no other account.
        """
        by = Source(f"idp:{claims.provider}", client, request_id)
        policy = self._policies.get(claims.provider, ProviderPolicy())
        new = await self._prepared(claims, policy)
        for _ in range(_TRIES):
            try:
                async with self._db.begin() as conn:
                    found = await self._find(conn, claims, policy, new, by)
                    outcome = await self._judged(conn, found, claims, policy, device=device, by=by)
            except _Raced:
                continue
            if isinstance(outcome, UserRecord):
                return outcome
            raise FederationRefused(reason=outcome)
        raise Overloaded("others changed the same account again and again")

    async def _find(
        self, conn: AsyncConnection, claims: Claims, policy: ProviderPolicy, new: NewUser | None, by: Source
    ) -> _Found:
        """The account, and what is still to be done before anybody may use it."""
        if not claims.subject or len(claims.subject) > _LONGEST_SUBJECT:
            return _Found(None, "unknown_user")
        user_id = await conn.scalar(
            sa.select(identities.c.user_id).where(
                identities.c.provider == claims.provider, identities.c.subject == claims.subject
            )
        )
        if user_id is not None:
            user = await rows.read_user(conn, user_id=user_id, lock=True)
            return _Found(user, "" if user is not None else "unknown_user", bound=True)
        user = await rows.read_user(conn, key=fields.lookup_key(claims.login) or "", lock=True)
        if user is None:
            return await self._made(conn, policy, new, claims, by)
        if not _same_login(claims.login, user.login):
            return _Found(None, "unknown_user")
        bound = await conn.scalar(
            sa.select(identities.c.subject).where(
                identities.c.provider == claims.provider, identities.c.user_id == user.id
            )
        )
        if bound == claims.subject:  # in another tab, while we waited for the account
            return _Found(user, "", bound=True)
        return _Found(user, "other_person" if bound is not None else "")

    async def _made(
        self, conn: AsyncConnection, policy: ProviderPolicy, new: NewUser | None, claims: Claims, by: Source
    ) -> _Found:
        if new is None:
            return _Found(None, "unknown_user")
        if policy.managed_roles and not claims.groups_complete:
            return _Found(None, "groups_incomplete")
        if policy.managed_roles and not new.roles:
            return _Found(None, "no_role")
        try:
            return _Found(await self._users.insert(conn, new, by=by), "")
        except AccountError:  # login_taken: somebody else made it since we looked
            raise _Raced from None

    async def _judged(
        self,
        conn: AsyncConnection,
        found: _Found,
        claims: Claims,
        policy: ProviderPolicy,
        *,
        device: str | None,
        by: Source,
    ) -> UserRecord | str:
        """The account, or the reason against it; either is in the audit log."""
        user, refusal = found.user, found.refusal
        if user is not None and not refusal:
            if user.disabled:
                refusal = "disabled"
            elif await self._lockout.locked(conn, user.id, device):
                refusal = "locked"
            elif policy.managed_roles and not claims.groups_complete:
                refusal = "groups_incomplete"
        said: dict[str, Detail] = {"provider": claims.provider, "principal": claims.login}
        if user is None or refusal:
            refusal = refusal or "unknown_user"
            details = said | {"subject": claims.subject, "reason": refusal}
            await self._write(conn, EventKind.SIGN_IN_FAILED, user, by, details)
            return refusal
        await self._bind(conn, user, claims, bound=found.bound)
        if not found.bound:
            details = said | {"subject": claims.subject}
            await self._write(conn, EventKind.IDENTITY_BOUND, user, by, details)
        user = await self._with_roles(conn, user, claims, policy, by)
        details = said | {"second_factor": claims.second_factor}
        await self._write(conn, EventKind.IDENTITY_ACCEPTED, user, by, details)
        return user

    async def _bind(self, conn: AsyncConnection, user: UserRecord, claims: Claims, *, bound: bool) -> None:
        now = self._clock()
        if bound:
            used = await conn.execute(
                sa.update(identities)
                .where(
                    identities.c.provider == claims.provider,
                    identities.c.subject == claims.subject,
                    identities.c.user_id == user.id,
                )
                .values(name=claims.login, last_used_at=now)
            )
            if not used.rowcount:  # unlinked since we looked
                raise _Raced
            return
        statement = sa.insert(identities).values(
            provider=claims.provider,
            subject=claims.subject,
            user_id=user.id,
            name=claims.login,
            created_at=now,
            last_used_at=now,
        )
        try:
            await conn.execute(statement)
        except IntegrityError:  # the subject, or another one for this account, was bound since we looked
            raise _Raced from None

    async def _with_roles(
        self, conn: AsyncConnection, user: UserRecord, claims: Claims, policy: ProviderPolicy, by: Source
    ) -> UserRecord:
        """The account with what the provider says of its roles today."""
        given_here = {*user.roles} - policy.managed_roles
        wanted = tuple(sorted(given_here | (claims.roles & policy.managed_roles)))
        if wanted == user.roles:
            return user
        await rows.write_roles(conn, user.id, wanted)
        await user_changed(conn, user.id, self._clock())
        details: dict[str, Detail] = {"before": list(user.roles), "after": list(wanted)}
        await self._write(conn, EventKind.USER_ROLES_CHANGED, user, by, details)
        return user._replace(roles=wanted)

    async def _prepared(self, claims: Claims, policy: ProviderPolicy) -> NewUser | None:
        """The account that could be made; None when none is."""
        if not policy.provision:
            return None
        try:
            return await self._users.prepare(
                claims.login,
                name=_or_nothing(fields.clean_name, claims.name),
                email=_or_nothing(fields.clean_email, claims.email),
                roles=claims.roles & policy.managed_roles,
                password=None,
            )
        except AccountError:  # a name that no account can have
            return None

    async def _write(
        self,
        conn: AsyncConnection,
        kind: EventKind,
        user: UserRecord | None,
        by: Source,
        details: Mapping[str, Detail],
    ) -> None:
        await self._audit.record(
            kind,
            user_id=user.id if user is not None else None,
            login=user.login if user is not None else "",
            actor=by.actor,
            client=by.client,
            request_id=by.request_id,
            details=details,
            conn=conn,
        )


class _Found(NamedTuple):
    user: UserRecord | None
    refusal: str
    bound: bool = False
    """By an earlier sign-in."""


async def unlink(
    conn: AsyncConnection, user: UserRecord, provider: str, *, by: Source, audit: AuditLog, now: float
) -> str | None:
    """Forget whom `provider` knows as `user`, and end the account's sessions; the subject, None when nobody.

    The next person of that name at the provider is bound anew: for an account that changes hands on
    purpose, or a directory that was made anew.
    """
    statement = sa.delete(identities).where(
        identities.c.provider == provider, identities.c.user_id == user.id
    )
    subject: str | None = await conn.scalar(statement.returning(identities.c.subject))
    if subject is None:
        return None
    await revoke_user(conn, user.id, now)
    await audit.record(
        EventKind.IDENTITY_UNBOUND,
        user_id=user.id,
        login=user.login,
        actor=by.actor,
        client=by.client,
        request_id=by.request_id,
        details={"provider": provider, "subject": subject},
        conn=conn,
    )
    return subject


def _same_login(claimed: str, login: str) -> bool:
    """Whether a first sign-in may bind `claimed` to the account: stricter than how logins compare here.

    Letters that merely look alike or are compatible (wide letters, ligatures, the Kelvin sign) make another
    name: where people choose theirs at the provider, such a name would take over somebody's account.
    """
    claimed, login = claimed.strip(), login.strip()
    if claimed.isascii() != login.isascii() or login_key(claimed) != login_key(login):
        return False
    return unicodedata.normalize("NFC", claimed).lower() == unicodedata.normalize("NFC", login).lower()


def _or_nothing(clean: Callable[[str], str], value: str) -> str:
    """The field as it may be stored; "" for one that may not: a provider's odd entry keeps nobody out."""
    try:
        return clean(value)
    except AccountError:
        return ""
