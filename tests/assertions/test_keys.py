"""Signing keys: one for all processes, the next known to everybody before it signs, none lost too early."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import ECAlgorithm

from gatekeeper.assertions.keys import NoSigningKey, SigningKeys, make_jwk
from gatekeeper.assertions.schedule import KEEP, LEAD
from gatekeeper.audit.events import Source
from gatekeeper.cli.secret import SEALED
from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.storage import tables
from gatekeeper.storage.sealed import reseal
from tests.assertions.support import DAY, OTHER_SECRET, SECRET, START, Story, tell
from tests.servers.databases import make_database

BY = Source("cli:test")


async def kids(keys: SigningKeys) -> list[str]:
    return [key["kid"] for key in json.loads(await keys.key_set())["keys"]]


def test_the_first_key_signs_at_once_and_every_later_process_has_the_same(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        first, second = made.process(), made.process()
        await first.refresh()
        made.now += 5 * DAY
        await second.refresh()
        assert first.current(made.now).kid == second.current(made.now).kid
        assert [line["kind"] for line in made.lines.seen] == ["signing_key.made"]

    tell(tmp_path, told)


@pytest.mark.databases
def test_processes_that_start_at_once_end_with_one_key(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        other = make_database(tmp_path)
        await other.open()
        processes = [made.process(db=db) for _ in range(6) for db in (made.db, other)]
        await asyncio.gather(*(process.refresh() for process in processes))
        await other.close()
        assert len(await made.rows()) == 1
        assert len({process.current(made.now).kid for process in processes}) == 1

    tell(tmp_path, told)


@pytest.mark.databases
def test_withdrawing_and_rotating_at_once_leave_one_order_of_events(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        first = made.process()
        await first.refresh()
        (withdrawn,) = await made.rows()
        made.now += 31 * DAY
        rotating = [made.process() for _ in range(4)]
        await asyncio.gather(
            first.add(BY, withdraw=True), *(process.refresh() for process in rotating), first.add(BY)
        )
        rows = await made.rows()
        assert withdrawn.kid not in {row.kid for row in rows}
        assert len(rows) == 1 and rows[0].retires_at is None

    tell(tmp_path, told)


def test_the_database_refuses_a_second_key_with_the_same_number(tmp_path: Path) -> None:
    """What makes the race safe where transactions do not queue."""

    async def told(made: Story) -> None:
        await made.process().refresh()
        (row,) = await made.rows()
        with pytest.raises(sa.exc.IntegrityError):
            async with made.db.begin() as conn:
                await conn.execute(sa.insert(tables.signing_keys).values({**row._mapping, "kid": "other"}))

    tell(tmp_path, told)


def test_a_private_key_is_stored_encrypted_and_published_nowhere(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        keys = made.process()
        await keys.refresh()
        private = keys.current(made.now).private
        secret_number = private.private_numbers().private_value.to_bytes(32, "big")
        plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        (row,) = await made.rows()
        assert secret_number not in row.private_key and plain not in row.private_key
        published = await keys.key_set()
        assert set(json.loads(published)["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
        for coded in (base64.urlsafe_b64encode(secret_number).rstrip(b"="), secret_number.hex().encode()):
            assert coded not in published and coded not in row.public_key.encode()

    tell(tmp_path, told)


def test_a_key_id_is_the_thumbprint_of_the_public_key() -> None:
    """RFC 7638 section 3, computed here from the words of the RFC."""
    private = ec.generate_private_key(ec.SECP256R1())
    kid, text = make_jwk(private.public_key())
    jwk = json.loads(text)
    needed = f'{{"crv":"{jwk["crv"]}","kty":"{jwk["kty"]}","x":"{jwk["x"]}","y":"{jwk["y"]}"}}'
    digest = hashlib.sha256(needed.encode()).digest()
    assert kid == jwk["kid"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    public = ECAlgorithm.from_jwk(jwk)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.public_numbers() == private.public_key().public_numbers()


def test_the_next_key_is_known_a_day_before_it_signs_and_the_old_one_a_day_after(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        keys = made.process()
        await keys.refresh()
        old = keys.current(made.now).kid
        made.now = START + 29 * DAY - 1
        await keys.refresh()
        assert await kids(keys) == [old]
        made.now += 1
        await keys.refresh()
        assert keys.current(made.now).kid == old
        (_, new) = await kids(keys)
        made.now = START + 30 * DAY - 1
        assert keys.current(made.now).kid == old
        made.now += 1
        assert keys.current(made.now).kid == new
        made.now += KEEP - 1
        await keys.refresh()
        assert await kids(keys) == [old, new]
        made.now += 1
        await keys.refresh()
        assert await kids(keys) == [new]

    tell(tmp_path, told)


def test_after_months_without_a_server_the_old_key_signs_until_the_next_one_is_known(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        before = made.process()
        await before.refresh()
        made.now += 100 * DAY
        after = made.process()
        await after.refresh()
        old, new = await kids(after)
        assert after.current(made.now).kid == old == before.current(made.now).kid
        assert after.current(made.now + LEAD).kid == new

    tell(tmp_path, told)


def test_rotation_can_be_switched_off(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        keys = made.process(rotate=None)
        await keys.refresh()
        made.now += 1_000 * DAY
        await keys.refresh()
        assert len(await kids(keys)) == 1

    tell(tmp_path, told)


def test_a_rotation_reaches_the_other_processes_without_a_restart(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        ours, theirs = made.process(), made.process()
        await ours.refresh()
        await theirs.refresh()
        made.ticks += 1.0
        assert (new := await ours.add(BY, forced=True)) is not None
        assert new.kid in await kids(theirs)  # whoever asks them for the keys is told
        await theirs.refresh()
        assert theirs.current(made.now + LEAD).kid == new.kid

    tell(tmp_path, told)


def test_the_next_key_is_not_made_twice(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        keys = made.process()
        await keys.refresh()
        assert await keys.add(BY, forced=True) is not None
        assert await keys.add(BY, forced=True) is None
        assert len(await made.rows()) == 2

    tell(tmp_path, told)


def test_a_stolen_key_is_withdrawn_at_once_and_what_it_signed_forgotten(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        ours, theirs = made.process(), made.process()
        await ours.refresh()
        await theirs.refresh()
        stolen = theirs.current(made.now).kid
        forgotten: list[str] = []
        theirs.subscribe(lambda: forgotten.append("all"))
        await theirs.refresh()
        assert forgotten == []
        new = await ours.add(BY, withdraw=True)
        await theirs.refresh()
        assert new is not None and await kids(theirs) == [new.kid]
        assert theirs.current(made.now).kid == new.kid != stolen
        assert forgotten == ["all"]

    tell(tmp_path, told)


def test_the_same_key_signs_after_the_secret_was_replaced(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        await made.process().refresh()
        (sealed,) = [one for one in SEALED if one.what == "signing keys"]
        assert (await reseal(made.db, sealed, [OTHER_SECRET, SECRET])).done == 1
        keys = made.process(OTHER_SECRET)
        await keys.refresh()
        assert [row.kid for row in await made.rows()] == [keys.current(made.now).kid]

    tell(tmp_path, told)


def test_a_key_that_no_secret_opens_signs_nothing_and_has_a_successor(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        lost = made.process()
        await lost.refresh()
        keys = made.process(OTHER_SECRET)
        await keys.look()
        with pytest.raises(NoSigningKey):
            keys.current(made.now)
        await keys.refresh()
        old, new = await kids(keys)
        assert keys.current(made.now).kid == new
        await lost.refresh()  # a process that was not restarted yet signs on, and both are published
        assert lost.current(made.now).kid == old
        assert len(await made.rows()) == 2

    tell(tmp_path, told)


def test_while_the_database_is_away_the_known_keys_are_used(tmp_path: Path) -> None:
    async def told(made: Story) -> None:
        keys = made.process()
        await keys.refresh()
        known = await kids(keys)
        await made.db.close()
        made.ticks += 60.0
        assert await kids(keys) == known
        with pytest.raises(StoreUnavailable):
            await keys.refresh()
        assert keys.current(made.now).kid == known[0]

    tell(tmp_path, told)
