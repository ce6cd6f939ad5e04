"""First passwords, resets, invitations and the list of who is due, as an operator types them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from gatekeeper.cli.user import user
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.mail.outbox import PURPOSE, unseal
from gatekeeper.storage import tables
from tests.accounts.password_support import DAY, SEVERAL, everything_stored
from tests.accounts.support import LOGIN, PASSWORD, CountingHasher, world

GENERATED = re.compile(r"[a-z2-9]{4}(-[a-z2-9]{4}){3,}")
MAIL = "mail:\n  from: gatekeeper@example.com\n  to_directory: mails\n"


class Operator:
    """Someone at a shell, in a folder with a configuration."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.data = folder / "data"
        self.config = folder / "gatekeeper.yaml"
        self.config.write_text(f"public_url: http://127.0.0.1:8080\ndata_dir: data\n{more}")

    def types(self, *words: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(user, [*words, "--config", str(self.config)], input=stdin)

    def succeeds(self, *words: str, stdin: str | None = None) -> str:
        result = self.types(*words, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *words: str, stdin: str | None = None) -> str:
        result = self.types(*words, stdin=stdin)
        assert result.exit_code in (1, 2)
        assert result.stdout == ""
        return result.stderr.splitlines()[-1]

    def adds_pat(self, *words: str) -> None:
        self.succeeds("add", LOGIN, "--password-stdin", *words, stdin=PASSWORD)

    def account(self) -> dict[str, Any]:
        (row,) = self._rows(tables.users)
        return row

    def opens(self, password: str) -> bool:
        return asyncio.run(CountingHasher().verify(self.account()["password_hash"], password))

    def mails(self) -> list[tuple[str, str, dict[str, str]]]:
        box = SecretBox([(self.data / "secret").read_text().strip()], PURPOSE)
        return [
            (row["kind"], row["recipient"], unseal(box, row["content"]).values)
            for row in self._rows(tables.outbox)
            if row["content"] is not None
        ]

    def changes(self, **values: object) -> None:
        async def changed() -> None:
            async with world(self.data) as w:
                await w.change(sa.update(tables.users).values(values))

        asyncio.run(changed())

    def _rows(self, table: sa.Table) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with world(self.data) as w:
                return await w.rows(table)

        return asyncio.run(read())


def test_a_first_password_is_generated_and_shown_once(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    said = operator.succeeds("add", LOGIN, "--first-password").splitlines()
    assert said[0] == f"Added {LOGIN} without roles."
    assert "shown this once" in said[1]
    assert GENERATED.fullmatch(said[2])
    assert operator.opens(said[2])
    assert operator.account()["must_change"] == "first_logon"
    assert said[2].encode() not in everything_stored(operator.data)


def test_a_generated_first_password_is_in_the_json(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    shown = json.loads(operator.succeeds("add", LOGIN, "--first-password", "--json"))
    assert shown["login"] == LOGIN
    assert operator.opens(shown["first_password"])


def test_a_given_first_password_is_taken_from_the_command_or_from_standard_input(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    said = operator.succeeds("add", LOGIN, "--first-password", SEVERAL[2])
    assert SEVERAL[2] not in said
    assert operator.opens(SEVERAL[2])
    assert operator.account()["must_change"] == "first_logon"
    operator.succeeds("delete", LOGIN, "--yes")
    operator.succeeds("add", LOGIN, "--first-password", "--password-stdin", stdin=SEVERAL[3] + "\n")
    assert operator.opens(SEVERAL[3])
    assert operator.account()["must_change"] == "first_logon"


def test_a_password_that_its_owner_chose_needs_no_change(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.adds_pat()
    assert operator.account()["must_change"] == ""


def test_a_weak_first_password_is_refused(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    assert "too common" in operator.refused("add", LOGIN, "--first-password", "welcome123456")


@pytest.mark.parametrize(
    "words",
    [
        ("--invite", "--password-stdin"),
        ("--invite", "--first-password"),
        ("--first-password", "a given one", "--password-stdin"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert Operator(tmp_path).types("add", LOGIN, *words).exit_code == 2


def test_an_account_is_added_and_invited_with_one_command(tmp_path: Path) -> None:
    operator = Operator(tmp_path, MAIL)
    assert (
        operator.succeeds("add", LOGIN, "--invite", "--email", LOGIN) == f"Invited {LOGIN} without roles.\n"
    )
    ((kind, recipient, values),) = operator.mails()
    assert (kind, recipient, set(values)) == ("invitation", LOGIN, {"link"})
    assert values["link"].startswith("http://127.0.0.1:8080/_gate/invite?token=")
    assert operator.account()["password_hash"] is None


def test_the_configuration_puts_a_password_into_invitations(tmp_path: Path) -> None:
    operator = Operator(tmp_path, MAIL + "password:\n  invitation: password\n")
    said = operator.succeeds("add", LOGIN, "--invite", "--email", LOGIN)
    ((_, _, values),) = operator.mails()
    assert values["password"] not in said
    assert operator.opens(values["password"])
    assert operator.account()["must_change"] == "first_logon"


@pytest.mark.parametrize(
    ("more", "words", "said"),
    [
        ("", ("--email", LOGIN), "no mail can be sent: the configuration has no `mail` section"),
        (MAIL, (), f"the account {LOGIN} has no e-mail address"),
    ],
)
def test_who_cannot_be_invited_is_not_added_either(
    tmp_path: Path, more: str, words: tuple[str, ...], said: str
) -> None:
    operator = Operator(tmp_path, more)
    assert operator.refused("add", LOGIN, "--invite", *words) == f"Error: {said}"
    assert operator.succeeds("list", "--json") == "[]\n"


def test_an_account_is_invited_again(tmp_path: Path) -> None:
    operator = Operator(tmp_path, MAIL)
    operator.succeeds("add", LOGIN, "--invite", "--email", LOGIN)
    (first,) = operator.mails()
    said = operator.succeeds("invite", LOGIN)
    assert said == f"Invited {LOGIN}: the mail is on its way to {LOGIN}.\n"
    (second,) = operator.mails()
    assert first != second
    operator.changes(last_sign_in_at=1.0)
    assert "has signed in already" in operator.refused("invite", LOGIN)
    assert "there is no account" in operator.refused("invite", "nobody@example.com")


def test_a_reset_password_is_shown_once(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.adds_pat()
    operator.changes(locked_at=1.0, failures=5)
    password = operator.succeeds("reset-password", LOGIN).splitlines()[-1]
    assert GENERATED.fullmatch(password)
    assert operator.opens(password)
    account = operator.account()
    assert (account["must_change"], account["locked_at"]) == ("reset", None)
    shown = json.loads(operator.succeeds("reset-password", LOGIN, "--json"))
    assert operator.opens(shown["password"])


def test_a_reset_password_is_mailed_and_not_shown(tmp_path: Path) -> None:
    operator = Operator(tmp_path, MAIL)
    operator.adds_pat("--email", LOGIN)
    result = operator.types("reset-password", LOGIN, "--mail")
    assert result.stdout == f"Password of {LOGIN} reset; a generated one is on its way to {LOGIN}.\n"
    ((kind, _, values),) = operator.mails()
    assert kind == "generated_password"
    assert operator.opens(values["password"])
    assert values["password"] not in result.output
    assert values["password"].encode() not in everything_stored(operator.data)


@pytest.mark.parametrize(
    ("more", "words", "said"),
    [("", ("--email", LOGIN), "no mail can be sent"), (MAIL, (), "has no e-mail address")],
)
def test_a_reset_that_cannot_be_mailed_changes_nothing(
    tmp_path: Path, more: str, words: tuple[str, ...], said: str
) -> None:
    operator = Operator(tmp_path, more)
    operator.adds_pat(*words)
    assert said in operator.refused("reset-password", LOGIN, "--mail")
    assert operator.opens(PASSWORD)


def test_who_is_due_when(tmp_path: Path) -> None:
    operator = Operator(tmp_path, MAIL)
    operator.adds_pat("--email", LOGIN)
    operator.changes(password_changed_at=4_000_000_000.0, last_sign_in_at=4_000_000_000.0 + 70 * DAY)
    (found,) = json.loads(operator.succeeds("due", "--json"))
    assert found == {
        "login": LOGIN,
        "email": LOGIN,
        "must_change": "",
        "due_at": "2096-12-31T07:06:40Z",
        "expires_at": "2096-12-31T07:06:40Z",
        "unused_at": "2097-01-10T07:06:40Z",
        "remind_at": "2096-12-17T07:06:40Z",
        "reminded_at": None,
    }
    head, row = operator.succeeds("due").splitlines()
    assert head.split() == ["LOGIN", "DUE", "WHY", "REMINDER"]
    assert row.split() == [LOGIN, "2096-12-31T07:06:40Z", "expires", "2096-12-17T07:06:40Z"]
    operator.changes(must_change="reset")
    assert operator.succeeds("due").splitlines()[1].split()[1:5] == ["now", "reset", "by", "an"]


def test_nobody_is_due_where_nothing_expires(tmp_path: Path) -> None:
    operator = Operator(tmp_path, "password:\n  max_age: never\n  max_unused: never\n")
    operator.adds_pat()
    assert operator.succeeds("due", "--json") == "[]\n"
