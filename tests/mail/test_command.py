"""`gatekeeper mail …` as an operator types it, and mail in the whole of Gatekeeper."""

from __future__ import annotations

import asyncio
import json
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gatekeeper.build import create_app
from gatekeeper.cli import main
from gatekeeper.mail.kinds import MailKind
from gatekeeper.settings import load_settings
from tests.mail.support import LINK, PAT, Sink


def configuration(folder: Path, **more: object) -> Path:
    path = folder / "gatekeeper.yaml"
    data = {
        "public_url": "https://app.example.com",
        "upstream": "http://127.0.0.1:3000",
        "branding": {"product_name": "Acme"},
        **more,
    }
    path.write_text(yaml.safe_dump(data))
    path.chmod(0o600)
    load_settings(path, {})  # makes the secret
    return path


def call(path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["mail", *words, "--config", str(path)])


TO_FOLDER = {"from": "Acme <gate@example.com>", "to_directory": "mails"}


@pytest.mark.parametrize("kind", list(MailKind))
@pytest.mark.parametrize("form", ["--text", "--html", "--eml"])
def test_every_mail_can_be_looked_at_before_any_is_sent(tmp_path: Path, kind: MailKind, form: str) -> None:
    result = call(configuration(tmp_path), "preview", kind.value, form)
    assert result.exit_code == 0, result.output
    assert "Acme" in result.output


def test_a_preview_as_a_file_is_a_mail(tmp_path: Path) -> None:
    result = call(configuration(tmp_path, mail=TO_FOLDER), "preview", "recovery", "--eml")
    message = BytesParser(policy=policy.default).parsebytes(result.stdout_bytes)
    assert message["From"] == "Acme <gate@example.com>"
    assert "https://app.example.com/_gate/reset?token=example" in str(
        message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    )


def test_a_test_mail_goes_out_at_once(tmp_path: Path) -> None:
    path = configuration(tmp_path, mail=TO_FOLDER)
    result = call(path, "test", "pat@example.com")
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / "mails").glob("*.eml"))) == 1


def test_a_test_mail_that_cannot_be_sent_says_why(tmp_path: Path) -> None:
    async def unanswered() -> Path:
        async with Sink().listening() as port:
            pass
        smtp = {"host": "127.0.0.1", "port": port, "tls": "none", "timeout": "2s"}
        return configuration(tmp_path, mail={"from": "gate@example.com", "smtp": smtp})

    path = asyncio.run(unanswered())
    result = call(path, "test", "pat@example.com")
    assert result.exit_code == 1
    assert result.output.startswith("Error: not sent: ")
    assert "not sent: not an e-mail address" in call(path, "test", "pat\nevil@example.com").output
    assert "mail: is missing" in call(configuration(tmp_path), "test", "pat@example.com").output


def test_gatekeeper_sends_what_is_posted_and_the_queue_shows_no_content(tmp_path: Path) -> None:
    path = configuration(tmp_path, mail=TO_FOLDER)

    async def story() -> None:
        async with create_app(load_settings(path, {})).running() as services:
            assert services.outbox.enabled
            assert services.links.sign_in() == "https://app.example.com/_gate/login"
            async with services.db.begin() as conn:
                await services.outbox.post(conn, MailKind.INVITATION, user=PAT, values={"link": LINK})
            async with asyncio.timeout(4):
                while not list((tmp_path / "mails").glob("*.eml")):
                    await asyncio.sleep(0.02)
            async with services.db.begin() as conn:
                far = 4_000_000_000.0
                await services.outbox.post(
                    conn,
                    MailKind.LOCKED,
                    user=PAT,
                    values={"link": LINK},
                    expires_at=far,
                    recipient="not one",
                )

    asyncio.run(story())
    shown = call(path, "queue")
    assert shown.exit_code == 0, shown.output
    assert "sent" in shown.output
    listed = json.loads(call(path, "queue", "--json").stdout)
    assert [entry["kind"] for entry in listed] == ["locked", "invitation"]
    assert listed[1]["recipient"] == "pat@example.com"
    assert "canary" not in shown.output + json.dumps(listed)


def test_without_a_mail_section_gatekeeper_runs_and_posts_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with create_app(load_settings(configuration(tmp_path), {})).running() as services:
            assert not services.outbox.enabled
            async with services.db.begin() as conn:
                assert not await services.outbox.post(
                    conn, MailKind.RECOVERY, user=PAT, values={"link": LINK}
                )

    asyncio.run(story())
