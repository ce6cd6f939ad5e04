"""Posting: in the caller's transaction, encrypted, complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gatekeeper.core.secretbox import SealBroken, SecretBox
from gatekeeper.mail.kinds import SPECS, MailKind
from gatekeeper.mail.outbox import PURPOSE, Outbox, unseal
from tests.mail.support import LINK, PASSWORD, PAT, SECRET, START, World, tell

ALL = {"link": LINK, "password": PASSWORD, "days": "14", "user_agent": "x", "change": "added"}


def needed(kind: MailKind) -> dict[str, str]:
    return {name: ALL[name] for name in SPECS[kind].needs}


def test_a_mail_is_part_of_the_transaction_that_posts_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with pytest.raises(RuntimeError):
            async with world.db.begin() as conn:
                assert await world.outbox.post(conn, MailKind.RECOVERY, user=PAT, values={"link": LINK})
                raise RuntimeError
        assert await world.rows() == []
        assert await world.post()
        assert len(await world.rows()) == 1

    tell(tmp_path, story)


@pytest.mark.sqlite
def test_what_waits_cannot_be_read_in_the_database(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.post(MailKind.GENERATED_PASSWORD, values={"link": LINK, "password": PASSWORD})
        on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"pat@example.com" in on_disk  # the address is there, so this looks at the right bytes
        assert b"canary" not in on_disk
        (row,) = await world.rows()
        assert unseal(world.box, row["content"]).values["password"] == PASSWORD

    tell(tmp_path, story)


@pytest.mark.parametrize("kind", list(MailKind))
def test_a_mail_is_worth_sending_as_long_as_its_kind_says(tmp_path: Path, kind: MailKind) -> None:
    async def story(world: World) -> None:
        await world.post(kind, values=needed(kind))
        await world.post(kind, values=needed(kind), expires_at=START + 5)
        first, second = await world.rows()
        assert first["expires_at"] == START + SPECS[kind].lifetime
        assert second["expires_at"] == START + 5

    tell(tmp_path, story)


def test_a_mail_without_what_it_is_for_is_a_mistake(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for kind, values in (
            (MailKind.RECOVERY, {}),
            (MailKind.RECOVERY, {"link": ""}),
            (MailKind.RECOVERY, {"link": LINK, "password": PASSWORD}),
            (MailKind.PASSWORD_EXPIRES, {"link": LINK, "days": "canary"}),
        ):
            with pytest.raises(ValueError, match=kind.value) as error:
                await world.post(kind, values=values)
            assert "canary" not in str(error.value)
        assert await world.rows() == []

    tell(tmp_path, story)


def test_who_has_no_address_gets_no_mail(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert not await world.post(user=PAT._replace(email=""))
        assert await world.post(user=PAT._replace(email=""), recipient="other@example.com")
        (row,) = await world.rows()
        assert row["recipient"] == "other@example.com"

    tell(tmp_path, story)


def test_without_a_mail_section_nothing_waits_and_one_line_says_so(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.outbox = Outbox(world.db, world.box, world.clock, enabled=False)
        with capture_logs() as lines:
            assert not await world.post()
            assert not await world.post()
        assert [line["log_level"] for line in lines] == ["warning"]
        assert await world.rows() == []

    tell(tmp_path, story)


def test_a_newer_link_takes_the_place_of_the_one_still_waiting(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.post()
        await world.post(user=PAT._replace(id=8))
        await world.post(MailKind.LOCKED)
        await world.post()
        rows = await world.rows()
        assert [row["given_up"] for row in rows] == ["superseded", None, None, None]
        assert rows[0]["content"] is None

    tell(tmp_path, story)


@pytest.mark.parametrize(
    "kind", [MailKind.NEW_DEVICE, MailKind.PASSWORD_CHANGED, MailKind.SECOND_FACTOR_CHANGED]
)
def test_a_second_event_never_hides_the_notice_of_the_first(tmp_path: Path, kind: MailKind) -> None:
    async def story(world: World) -> None:
        await world.post(kind, values={})
        await world.post(kind, values={})
        assert [row["given_up"] for row in await world.rows()] == [None, None]

    tell(tmp_path, story)


def test_what_waits_can_be_sealed_under_a_new_secret(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.post()
        new = "another secret of more than thirty-two characters"
        rotating = Outbox(world.db, SecretBox([new, SECRET], PURPOSE), world.clock)
        async with world.db.begin() as conn:
            assert await rotating.reseal(conn) == 1
        (row,) = await world.rows()
        assert unseal(SecretBox([new], PURPOSE), row["content"]).values == {"link": LINK}
        with pytest.raises(SealBroken):
            unseal(world.box, row["content"])

    tell(tmp_path, story)
