"""`mail`: complete, one way out, and no password in clear."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.settings import SettingsError, load_settings
from tests.settings.helpers import NEEDED, complaint, load, write

SMTP = "mail: {from: gate@example.com, smtp: {host: mail.example.com%s}}\n"


def test_no_mail_is_the_default(tmp_path: Path) -> None:
    assert load(tmp_path).mail is None


@pytest.mark.parametrize(
    ("more", "port"), [("", 587), (", tls: tls", 465), (", tls: none", 25), (", port: 2525", 2525)]
)
def test_the_port_follows_the_encryption(tmp_path: Path, more: str, port: int) -> None:
    mail = load(tmp_path, SMTP % more).mail
    assert mail is not None
    assert mail.smtp is not None
    assert mail.smtp.real_port == port
    assert mail.from_ == "gate@example.com"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mail:\n", "mail.from: is missing"),
        ("mail: {from: gate@example.com}\n", "mail: says who mails come from, but not where they go"),
        ("mail: {from: gate, to_directory: x}\n", "mail.from: must be an address such as"),
        ("mail: {from: 'a <a@example.com> b', to_directory: x}\n", "mail.from: must be an address"),
        ("mail: {from: 'a@-x-', to_directory: x}\n", "mail.from: -x- is not a host name"),
        (
            "mail: {from_: a@example.com, from: a@example.com, to_directory: x}\n",
            "mail.from_: there is no such key",
        ),
        ("mail: {from: a@example.com, reply_to: b, to_directory: x}\n", "mail.reply_to: must be an address"),
        (SMTP % ", username: gate", "mail.smtp.username: is given, but neither password nor password_file"),
        (SMTP % ", password: x", "mail.smtp.password: is given, but username is missing"),
        (
            SMTP % ", username: gate, password: x, password_file: y",
            "mail.smtp.password_file: is given as well",
        ),
        (SMTP % ", tls: none, username: gate, password: x", "mail.smtp.tls: none would send the password"),
        (SMTP % ", tls: none, ca_file: ca.pem", "mail.smtp.ca_file: is given, but tls is none"),
        (SMTP % ", ca_file: ca.pem", "mail.smtp.ca_file: "),
        (SMTP % ", tls: ssl", "mail.smtp.tls: must be"),
        (SMTP % ", username: gate, password_file: none", "mail.smtp.password_file: "),
        (
            "mail: {from: a@example.com, to_directory: x, smtp: {host: h}}\n",
            "mail.to_directory: is given as well",
        ),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, text)


def test_this_machine_may_get_the_password_without_encryption(tmp_path: Path) -> None:
    text = "mail: {from: a@example.com, smtp: {host: 127.0.0.1, tls: none, username: u, password: p}}\n"
    assert load(tmp_path, text).mail is not None


def test_the_password_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "smtp-password"
    secret.write_text("canary password\n")
    text = SMTP % ", username: gate, password_file: smtp-password"
    secret.chmod(0o644)
    assert "can be read or changed by others" in complaint(tmp_path, text)
    secret.chmod(0o600)
    mail = load(tmp_path, text).mail
    assert mail is not None
    assert mail.smtp is not None
    assert mail.smtp.password is not None
    assert mail.smtp.password.get_secret_value() == "canary password"
    assert "canary" not in repr(mail)
    secret.write_text("")
    assert "must hold one line" in complaint(tmp_path, text)


def test_a_file_with_the_password_in_it_must_be_ours_alone(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED + SMTP % ", username: gate, password: canary", mode=0o644)
    with pytest.raises(SettingsError) as error:
        load_settings(path, {}, create=False)
    (problem,) = error.value.problems
    assert problem.key == "mail.smtp.password"
    assert "canary" not in str(problem)


def test_the_environment_can_say_it_all(tmp_path: Path) -> None:
    environ = {"GATEKEEPER_MAIL__FROM": "a@example.com", "GATEKEEPER_MAIL__TO_DIRECTORY": "/tmp/mails"}
    mail = load(tmp_path, environ=environ).mail
    assert mail is not None
    assert mail.from_ == "a@example.com"
