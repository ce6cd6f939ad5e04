"""Makes the assertion that goes to the application with each request of somebody who is signed in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import jwt

from gatekeeper.assertions.keys import SigningKey
from gatekeeper.core.session import (
    HeaderList,
    Session,
    SessionRecord,
    Timeouts,
    UserRecord,
    over_at,
    quiet_at,
)
from gatekeeper.core.steps import TRUSTED

KNOWN = 16_384
"""Assertions kept at most, to be sent again: a page's requests share one."""


class _Kept(NamedTuple):
    """What was signed about whom. Another session, person or proof never gets this line."""

    user: UserRecord
    proofs: tuple[str, float, float, float, float]
    renew_at: float
    lines: HeaderList


class AssertionMaker:
    """Implements `core.protocols.Assertions`.

    ES256 JWTs (RFC 7519, RFC 8725) of `lifetime` seconds. One is sent again while more than half of its life
    remains and everything that it says is still true; `key` gives the key that signs at a time.
    """

    def __init__(
        self,
        key: Callable[[float], SigningKey],
        *,
        header: str,
        issuer: str,
        lifetime: float,
        timeouts: Timeouts,
        random_name: Callable[[], str] = lambda: secrets.token_urlsafe(16),
        known: int = KNOWN,
    ) -> None:
        self._key = key
        self._header = header.lower().encode("ascii")
        self._issuer = issuer
        self._lifetime = lifetime
        self._timeouts = timeouts
        self._random_name = random_name
        self._size = known
        self._kept: dict[tuple[bytes, str], _Kept] = {}

    def forget(self) -> None:
        """Sign everything anew: a key was withdrawn."""
        self._kept.clear()

    def lines(self, session: Session, audience: str, now: float, *, active: bool) -> HeaderList:
        """The header line for the application `audience`. Raises NoSigningKey.

        `now` is in seconds since the epoch. `active`: this very request counts as activity, so that the idle
        timeout begins anew with it. `session` must be alive and complete at `now`.
        """
        record = session.record
        proofs = (
            record.methods,
            record.first_factor_at,
            record.second_factor_at,
            record.grace_until,
            record.tab_closed_at,
        )
        kept = self._kept.get((record.key, audience))
        if kept is not None and now < kept.renew_at and kept.user == session.user and kept.proofs == proofs:
            return kept.lines
        # An end by time is never outlived but by the fraction of a second that whole seconds need.
        seen = record._replace(last_seen_at=max(now, record.last_seen_at)) if active else record
        over = min(over_at(record, self._timeouts), quiet_at(seen, self._timeouts))
        issued = int(now)
        expires = max(int(min(now + self._lifetime, over)), issued + 1)
        claims = make_claims(session.user, record) | {
            "iss": self._issuer,
            "aud": audience,
            "iat": issued,
            "exp": expires,
            "jti": self._random_name(),
        }
        key = self._key(now)
        token = jwt.encode(claims, key.private, algorithm="ES256", headers={"kid": key.kid, "typ": "JWT"})
        lines = ((self._header, token.encode("ascii")),)
        if len(self._kept) >= self._size:
            for old in list(islice(self._kept, max(1, self._size // 8))):
                del self._kept[old]
        # Taken out first, so that the oldest are those that come first.
        self._kept.pop((record.key, audience), None)
        self._kept[record.key, audience] = _Kept(session.user, proofs, now + (expires - now) / 2, lines)
        return lines


def make_claims(user: UserRecord, record: SessionRecord) -> dict[str, Any]:
    """What an assertion says of the person and of how they signed in; empty texts are left out.

    Names as in OpenID Connect Core sections 2 and 5.1, RFC 8176 (`amr`), RFC 9068 section 2.2.3.1 (`roles`).
    `sub` is the account's number, which outlives a change of the login and is never given again.
    """
    second = record.second_factor_at > 0.0
    methods = [name for name in record.methods.split() if name != TRUSTED and ":" not in name]
    named = {"name": user.name, "email": user.email}
    return {
        "sub": str(user.id),
        "preferred_username": user.login,
        **{claim: text for claim, text in named.items() if text},
        "roles": list(user.roles),
        "auth_time": int(max(record.first_factor_at, record.second_factor_at)),
        "amr": [*methods, "mfa"] if second else methods,
    }
