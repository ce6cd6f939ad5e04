"""The signing keys: in the database, shared by all processes, made and replaced by whichever comes first."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from jwt.algorithms import ECAlgorithm

from gatekeeper.assertions.schedule import KEEP, LEAD, StoredKey, next_begins, published, signing
from gatekeeper.audit.events import EventKind, Source
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import StoreUnavailable, Undecidable
from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.storage.locks import hold_name
from gatekeeper.storage.tables import signing_keys

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from gatekeeper.audit.log import AuditLog
    from gatekeeper.storage.engine import Database

PURPOSE = "signing_keys"
"""Of the SecretBox."""
REFRESH = 5.0
"""Seconds between two looks at the table: after so long every process signs with the right key."""
RECENT = 1.0
"""Seconds for which a look counts as new where verifiers ask."""

log = structlog.get_logger("gatekeeper.assertions")


class SigningKey(NamedTuple):
    """A key that this process can sign with."""

    kid: str
    private: ec.EllipticCurvePrivateKey


class NoSigningKey(Undecidable):
    """There is no key to sign with: the request cannot be answered as it should."""

    reason = "no_signing_key"


class SigningKeys:
    """The keys as one process knows them. `rotate` is how long a key signs, in seconds; None for ever.

    ES256 (RFC 7518 section 3.4): P-256 and SHA-256. Private keys are stored encrypted under the
    installation's secret; a key id is the RFC 7638 thumbprint of the public key.
    """

    def __init__(
        self,
        db: Database,
        audit: AuditLog,
        clock: Clock,
        *,
        secrets: Sequence[str],
        rotate: float | None,
        monotonic: Clock = time.monotonic,
        make_private: Callable[[], ec.EllipticCurvePrivateKey] = lambda: ec.generate_private_key(
            ec.SECP256R1()
        ),
    ) -> None:
        self._db = db
        self._audit = audit
        self._clock = clock
        self._box = SecretBox(secrets, PURPOSE)
        self._rotate = rotate
        self._monotonic = monotonic
        self._make_private = make_private
        self._keys: tuple[StoredKey, ...] = ()
        self._opened: dict[str, SigningKey] = {}
        self._unopened: set[str] = set()
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._failing = False
        self._on_withdrawn: list[Callable[[], None]] = []

    def subscribe(self, on_withdrawn: Callable[[], None]) -> None:
        """Call `on_withdrawn` whenever a key is found gone: what it signed is worth nothing."""
        self._on_withdrawn.append(on_withdrawn)

    async def refresh(self) -> None:
        """Read the keys, and make the one that is due. Raises StoreUnavailable."""
        async with self._looking:
            await self.look()
            if next_begins(self._keys, self._opened, self._rotate, self._clock()) is not None:
                await self.add(Source("system"))

    async def run(self) -> None:
        """Follow what other processes do, and keep to the schedule. Until cancelled."""
        while True:
            await asyncio.sleep(REFRESH)
            try:
                await self.refresh()
            except StoreUnavailable as error:
                if not self._failing:  # an outage is one line, and ends no signature
                    log.error("signing keys cannot be read; those known are used", error=str(error))
                self._failing = True
            else:
                self._failing = False

    def current(self, now: float) -> SigningKey:
        """The key that signs at `now`. Raises NoSigningKey."""
        found = signing(self._keys, self._opened, now)
        if found is None:
            raise NoSigningKey("there is no key for assertions")
        return self._opened[found.kid]

    def usable(self, kid: str) -> bool:
        """Whether this process can open the private key."""
        return kid in self._opened

    def stored(self) -> list[StoredKey]:
        """What is published now, the oldest first."""
        return published(self._keys, self._clock())

    async def key_set(self) -> bytes:
        """The JWK set (RFC 7517 section 5) as JSON: public parts alone, as new as the database can say."""
        if self._monotonic() - self._looked_at >= RECENT:
            async with self._looking:
                if self._monotonic() - self._looked_at >= RECENT:
                    try:
                        await self.look()
                    except StoreUnavailable:
                        # Keys that were published do not become false; `run` writes the line.
                        self._looked_at = self._monotonic()
        return b'{"keys": [' + ", ".join(key.public for key in self.stored()).encode("ascii") + b"]}"

    async def add(self, by: Source, *, forced: bool = False, withdraw: bool = False) -> StoredKey | None:
        """Make the next key, unless another process did: None then. Raises StoreUnavailable.

        `forced`: before its time, unless one is waiting to sign already. `withdraw`: it signs from now on,
        and every other key is withdrawn at once, because somebody else may have one.
        """
        async with self._db.begin() as conn:
            await hold_name(conn, "signing keys")  # who waited here sees what the other one made
            made = await self._add(conn, by, forced=forced, withdraw=withdraw)
        await self.look()
        return made

    async def _add(
        self, conn: AsyncConnection, by: Source, *, forced: bool, withdraw: bool
    ) -> StoredKey | None:
        now = self._clock()
        keys = await _read(conn)
        self._open(keys)
        signs_from = next_begins(keys, self._opened, self._rotate, now)
        if withdraw:
            signs_from = now
        elif forced and signs_from is None and not any(key.signs_from > now for key in keys):
            signs_from = now + LEAD
        if signs_from is None:
            return None
        private = self._make_private()
        kid, public = make_jwk(private.public_key())
        sealed = self._box.seal(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
        made = StoredKey(
            max((key.number for key in keys), default=0) + 1, kid, sealed, public, now, signs_from, None
        )
        table = signing_keys
        if withdraw:
            await conn.execute(sa.delete(table))
        else:
            await conn.execute(sa.delete(table).where(table.c.retires_at <= now))
            await conn.execute(
                sa.update(table).where(table.c.retires_at.is_(None)).values(retires_at=signs_from + KEEP)
            )
        await conn.execute(
            sa.insert(table).values(
                number=made.number,
                kid=kid,
                private_key=sealed,
                public_key=public,
                created_at=now,
                signs_from=signs_from,
            )
        )
        await self._audit.record(
            EventKind.SIGNING_KEY_MADE,
            actor=by.actor,
            details={"kid": kid, "signs_from": signs_from, "withdrawn": len(keys) if withdraw else 0},
            conn=conn,
        )
        return made

    async def look(self) -> None:
        """Read the keys, and make none. Raises StoreUnavailable."""
        at = self._monotonic()
        async with self._db.read() as conn:
            keys = await _read(conn)
        self._open(keys)
        gone = {key.kid for key in self._keys} - {key.kid for key in keys}
        self._keys = keys
        self._looked_at = at
        if gone:
            for call in self._on_withdrawn:
                call()

    def _open(self, keys: Sequence[StoredKey]) -> None:
        """Decrypt what is new; forget what is gone."""
        opened: dict[str, SigningKey] = {}
        for key in keys:
            if (known := self._opened.get(key.kid)) is not None:
                opened[key.kid] = known
                continue
            try:
                private = load_der_private_key(self._box.open(key.sealed), None)
            except SealBroken as error:
                if key.kid not in self._unopened:
                    self._unopened.add(key.kid)
                    log.warning("a signing key cannot be used", kid=key.kid, error=str(error))
                continue
            if isinstance(private, ec.EllipticCurvePrivateKey):
                opened[key.kid] = SigningKey(key.kid, private)
        self._opened = opened


def make_jwk(public: ec.EllipticCurvePublicKey) -> tuple[str, str]:
    """The key's id (RFC 7638) and its JWK as JSON."""
    numbers = ECAlgorithm.to_jwk(public, as_dict=True)
    needed = {name: numbers[name] for name in ("crv", "kty", "x", "y")}  # and no other, in this order
    digest = hashlib.sha256(json.dumps(needed, separators=(",", ":")).encode("ascii")).digest()
    kid = urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    return kid, json.dumps({**needed, "kid": kid, "use": "sig", "alg": "ES256"})


async def _read(conn: AsyncConnection) -> tuple[StoredKey, ...]:
    table = signing_keys.c
    rows = await conn.execute(
        sa.select(
            table.number,
            table.kid,
            table.private_key,
            table.public_key,
            table.created_at,
            table.signs_from,
            table.retires_at,
        ).order_by(table.number)
    )
    return tuple(StoredKey(*row) for row in rows)
