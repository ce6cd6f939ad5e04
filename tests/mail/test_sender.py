"""Sending: at least once, by one sender at a time, and never for ever."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from structlog.testing import capture_logs

from gatekeeper.core.secretbox import SecretBox
from gatekeeper.mail import sender as sender_module
from gatekeeper.mail.compose import Composer
from gatekeeper.mail.kinds import SPECS, MailKind
from gatekeeper.mail.outbox import PURPOSE, Outbox
from gatekeeper.mail.queue import KEPT, entries
from gatekeeper.mail.sender import MARGIN
from gatekeeper.mail.templates import Facts
from gatekeeper.mail.transport import Letter
from tests.mail.support import LINK, PASSWORD, PAT, START, Sink, World, composer, smtp, tell, world


def abort(server: SMTP) -> None:
    """Cut the connection as a crash does."""
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_mail_is_sent_once_and_its_content_erased(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        await world.post()
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            assert await sender.step()
            assert not await sender.step()
        (mail,) = sink.mails
        assert mail["To"] == "Pat Example <pat@example.com>"
        assert LINK in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        (row,) = await world.rows()
        assert (row["content"], row["sent_at"], row["given_up"], row["attempts"]) == (None, START, None, 1)

    tell(tmp_path, story)


def test_a_mail_server_that_is_down_for_a_while_loses_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        port, sink = free_port(), Sink()
        sender = world.sender(smtp(port))
        await world.post()
        assert await sender.step()
        (row,) = await world.rows()
        assert row["next_attempt_at"] == START + 60
        world.now += 59.5
        assert not await sender.step()
        world.now += 0.5
        assert await sender.step()
        assert (await world.rows())[0]["next_attempt_at"] == START + 60 + 120
        async with sink.listening(port):
            world.now += 120
            assert await sender.step()
        assert len(sink.mails) == 1
        assert (await world.rows())[0]["attempts"] == 3

    tell(tmp_path, story)


@pytest.mark.parametrize("where", ["rcpt_answer", "data_answer"])
def test_a_refusal_for_now_is_tried_again_and_one_for_good_is_not(tmp_path: Path, where: str) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        await world.post()
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            setattr(sink, where, "451 4.7.1 later, please")
            assert await sender.step()
            assert (await world.rows())[0]["given_up"] is None
            setattr(sink, where, f"550 5.1.1 no, not {LINK}" if where == "data_answer" else "550 5.1.1 no")
            world.now += 60
            with capture_logs() as lines:
                assert await sender.step()
            world.now += 7200
            assert not await sender.step()
        (row,) = await world.rows()
        assert (row["given_up"], row["content"], sink.mails) == ("refused", None, [])
        (event,) = await world.audited()
        assert event["kind"] == "mail.given_up"
        assert event["details"] == {"mail": 1, "mail_kind": "recovery", "reason": "refused", "attempts": 2}
        (line,) = lines
        assert "550 5.1.1" in line["why"]
        assert "canary" not in str(lines)

    tell(tmp_path, story)


def test_a_sign_in_that_the_mail_server_refuses_is_ours_to_mend(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        await world.post()
        async with sink.listening(auth_require_tls=False) as port:
            wrong = world.sender(smtp(port, username="gate", password="canary wrong"))
            with capture_logs() as lines:
                assert await wrong.step()
            assert "canary" not in str(lines)
            assert "username and password" in lines[0]["why"]
            world.now += 60
            assert await world.sender(smtp(port, username="gate", password="right")).step()
        assert len(sink.mails) == 1

    tell(tmp_path, story)


def test_a_mail_server_that_dies_in_the_middle_gets_the_mail_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()

        async def die(server: SMTP) -> None:
            abort(server)

        sink.on_data = die
        await world.post()
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            assert await sender.step()
            assert (await world.rows())[0]["content"] is not None
            sink.on_data, sink.mails = None, []
            world.now += 60
            assert await sender.step()
        assert len(sink.mails) == 1

    tell(tmp_path, story)


def test_a_slow_mail_server_is_waited_for_only_so_long(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink, stop = Sink(), asyncio.Event()

        async def hang(_server: SMTP) -> None:
            await stop.wait()

        sink.on_data = hang
        await world.post()
        async with sink.listening() as port:
            with capture_logs() as lines:
                assert await world.sender(smtp(port, timeout=0.2)).step()
                world.now += 60
                assert await world.sender(smtp(port), timeout=0.2).step()
            stop.set()
        assert [line["why"] for line in lines] == ["the mail server took too long", "took too long"]
        assert (await world.rows())[0]["content"] is not None

    tell(tmp_path, story)


def test_a_goodbye_that_goes_wrong_does_not_send_the_mail_again(tmp_path: Path) -> None:
    class Rude(Sink):
        async def handle_QUIT(self, server: SMTP, _session: object, _envelope: object) -> str:
            abort(server)
            return "221 bye"

    async def story(world: World) -> None:
        sink = Rude()
        await world.post()
        async with sink.listening() as port:
            assert await world.sender(smtp(port)).step()
        assert (await world.rows())[0]["sent_at"] == START

    tell(tmp_path, story)


def test_nothing_is_sent_once_it_has_expired(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        await world.post(expires_at=START + 100)
        await world.post(MailKind.LOCKED, expires_at=START + 100)
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            world.now += 99.999
            assert await sender.step()
            world.now = START + 100
            assert not await sender.step()
        assert len(sink.mails) == 1
        assert [row["given_up"] for row in await world.rows()] == [None, "expired"]
        assert [event["details"]["reason"] for event in await world.audited()] == ["expired"]

    tell(tmp_path, story)


@pytest.mark.databases
def test_two_processes_on_one_database_send_each_mail_once(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        sink = Sink()
        async with world(tmp_path) as other, sink.listening() as port:
            for number in range(12):
                await one.post(user=PAT._replace(id=number))
            senders = [process.sender(smtp(port)) for process in (one, other, one, other)]

            async def drain(number: int) -> None:
                while await senders[number].step():
                    pass

            await asyncio.gather(*map(drain, range(4)))
        assert len(sink.mails) == len({mail["Message-ID"] for mail in sink.mails}) == 12
        assert {row["attempts"] for row in await one.rows()} == {1}

    tell(tmp_path, story)


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from typing import Any
from tests.mail.support import smtp, world

class Doomed:
    async def send(self, letter):
        await smtp(int(sys.argv[2])).send(letter)
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with world(Path(sys.argv[1])) as process:
        await process.sender(Doomed()).step()

asyncio.run(main())
"""


@pytest.mark.sqlite
def test_a_process_killed_between_sending_and_recording_sends_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        await world.post()
        async with sink.listening() as port:
            command = [sys.executable, "-c", _KILLED, str(tmp_path), str(port)]
            done = await asyncio.to_thread(subprocess.run, command, check=False)
            assert done.returncode == -signal.SIGKILL
            assert len(sink.mails) == 1
            sender = world.sender(smtp(port))
            world.now += 10 + MARGIN - 0.5
            assert not await sender.step()  # for all we know, it is still at work
            world.now += 0.5
            assert await sender.step()
        assert len(sink.mails) == 2
        assert sink.mails[0]["Message-ID"] == sink.mails[1]["Message-ID"]
        assert (await world.rows())[0]["sent_at"] is not None

    tell(tmp_path, story)


def test_who_lost_the_lease_does_not_undo_what_another_did(tmp_path: Path) -> None:
    async def story(one: World) -> None:
        await one.post()
        sink = Sink()
        async with world(tmp_path) as other, sink.listening() as port:
            other.now = START + 1000

            class Late:
                async def send(self, _letter: object) -> None:
                    assert await other.sender(smtp(port)).step()
                    raise ConnectionError

            assert await one.sender(Late()).step()
        assert len(sink.mails) == 1
        (row,) = await one.rows()
        assert (row["sent_at"], row["content"]) == (START + 1000, None)

    tell(tmp_path, story)


def test_a_new_mail_does_not_wait_behind_those_that_fail(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink(rcpt_answer="451 later")
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            await world.post(MailKind.LOCKED)
            assert await sender.step()
            world.now += 60
            await world.post()
            sink.rcpt_answer = ""
            assert await sender.step()
        assert sink.mails[0]["Subject"] == "Reset password"

    tell(tmp_path, story)


def test_a_mail_sealed_under_a_lost_secret_is_given_up(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        stranger = Outbox(world.db, SecretBox(["x" * 40], PURPOSE), world.clock)
        async with world.db.begin() as conn:
            await stranger.post(conn, MailKind.INVITATION, user=PAT, values={"link": LINK})
        assert await world.sender(smtp(1)).step()
        assert (await world.rows())[0]["given_up"] == "unreadable"

    tell(tmp_path, story)


def test_a_broken_template_of_the_operators_is_mended_and_the_mail_sent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        (tmp_path / "own/mail").mkdir(parents=True)
        (tmp_path / "own/mail/recovery.txt").write_text("{{ link }} {{ nothing.of.that.name }}")
        await world.post()
        sink = Sink()
        async with sink.listening() as port:
            with capture_logs() as lines:
                assert await world.sender(smtp(port), composer=composer(override=tmp_path / "own")).step()
            assert "canary" not in str(lines)
            assert lines[0]["why"] == "template of recovery failed: UndefinedError"
            (tmp_path / "own/mail/recovery.txt").write_text("Ours: {{ link }}")
            world.now += 60
            assert await world.sender(smtp(port), composer=composer(override=tmp_path / "own")).step()
        assert sink.mails[0].get_body(("plain",)).get_content().strip() == f"Ours: {LINK}"  # type: ignore[union-attr]

    tell(tmp_path, story)


def test_a_commit_here_wakes_the_sender_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            world.outbox.on_post(sender.wake)
            async with sender.running():
                await asyncio.sleep(0.1)  # it has looked once, and waits for POLL seconds
                async with asyncio.timeout(sender_module.POLL / 2):
                    await world.post(MailKind.INVITATION)
                    await sink.arrived.wait()
        assert world.errors == []
        assert (await world.rows())[0]["sent_at"] == START

    tell(tmp_path, story)


def test_a_recovery_mail_wakes_nobody_and_goes_out_at_a_random_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.outbox = Outbox(world.db, world.box, world.clock, jitter=lambda: 0.5)
        woken: list[str] = []
        world.outbox.on_post(lambda: woken.append("recovery"))
        await world.post(MailKind.RECOVERY)
        spread = SPECS[MailKind.RECOVERY].spread
        assert (woken, (await world.rows())[0]["next_attempt_at"]) == ([], START + spread / 2)
        sink = Sink()
        async with sink.listening() as port:
            sender = world.sender(smtp(port))
            assert not await sender.step()
            world.now += spread / 2
            assert await sender.step()
        assert len(sink.mails) == 1

    tell(tmp_path, story)


def test_a_mail_for_nobody_is_made_like_any_other_and_then_erased(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made: list[tuple[str, bool]] = []

        class Counting(Composer):
            def compose(self, kind: MailKind, facts: Facts, recipient: str, **more: Any) -> Letter:
                made.append((recipient, threading.current_thread() is threading.main_thread()))
                return super().compose(kind, facts, recipient, **more)

        ordinary = composer()
        counting = Counting(ordinary.templates, ordinary._sender)
        nobody = PAT._replace(id=-5, email="nobody@invalid")
        await world.post(user=nobody)
        await world.post()
        async with world.db.read() as conn:
            assert [entry.recipient for entry in await entries(conn, 10)] == ["pat@example.com"]
        sink = Sink()
        async with sink.listening() as port:
            sender = world.sender(smtp(port), composer=counting)
            assert await sender.step()
            assert await sender.step()
        # Both off the event loop, where requests would feel which of them was made.
        assert made == [("nobody@invalid", False), ("pat@example.com", False)]
        assert [mail["To"] for mail in sink.mails] == ["Pat Example <pat@example.com>"]
        assert [row["user_id"] for row in await world.rows()] == [PAT.id]

    tell(tmp_path, story)


def test_a_mail_for_nobody_expires_untold(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.post(user=PAT._replace(id=-5, email="nobody@invalid"))
        world.now += 4000
        assert not await world.sender(smtp(1)).step()
        assert (await world.rows())[0]["content"] is None
        assert await world.audited() == []

    tell(tmp_path, story)


def test_a_commit_elsewhere_is_found_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "POLL", 0.05)

    async def story(one: World) -> None:
        sink = Sink()
        async with (
            world(tmp_path) as command_line,
            sink.listening() as port,
            one.sender(smtp(port)).running(),
            asyncio.timeout(5),
        ):
            await command_line.post()
            await sink.arrived.wait()
        assert len(sink.mails) == 1

    tell(tmp_path, story)


def test_a_stop_lets_the_mail_under_way_arrive(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink, under_way, go_on = Sink(), asyncio.Event(), asyncio.Event()

        async def slow(_server: SMTP) -> None:
            under_way.set()
            await go_on.wait()

        sink.on_data = slow
        await world.post()
        await world.post(MailKind.LOCKED)
        async with sink.listening() as port, world.sender(smtp(port)).running():
            await under_way.wait()
            asyncio.get_running_loop().call_later(0.05, go_on.set)
        assert [row["sent_at"] for row in await world.rows()] == [START, None]

    tell(tmp_path, story)


def test_an_error_nobody_thought_of_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    class Odd:
        async def send(self, _letter: object) -> None:
            raise RuntimeError("odd")

    async def story(world: World) -> None:
        await world.post()
        assert await world.sender(Odd()).step()
        assert [str(error) for error in world.errors] == ["odd"]
        assert (await world.rows())[0]["next_attempt_at"] == START + 60

    tell(tmp_path, story)


def test_nothing_secret_is_left_anywhere(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        with capture_logs() as lines:
            async with sink.listening() as port:
                for answer in ("", f"554 5.7.1 spam: {LINK}", "451 4.0.0 canary"):
                    sink.data_answer = answer
                    await world.post(MailKind.GENERATED_PASSWORD, values={"link": LINK, "password": PASSWORD})
                    assert await world.sender(smtp(port)).step()
        assert len(lines) == 3
        assert "canary" in sink.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert "canary" not in str(lines) + str(await world.audited()) + str(world.lines.seen)
        assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())

    tell(tmp_path, story)


def test_addresses_of_people_are_forgotten_after_a_month(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        sink = Sink()
        async with sink.listening() as port:
            await world.post()
            await world.sender(smtp(port)).step()
            await world.post(MailKind.LOCKED, expires_at=START + 2 * KEPT)
            sink.rcpt_answer = "451 later"
            world.now += KEPT
            sender = world.sender(smtp(port))
            async with sender.running():
                async with asyncio.timeout(5):
                    while len(await world.rows()) == 2:
                        await asyncio.sleep(0.01)
            (row,) = await world.rows()
            assert row["kind"] == "locked"

    tell(tmp_path, story)
