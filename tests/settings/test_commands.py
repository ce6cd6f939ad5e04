"""`gatekeeper check` and `gatekeeper schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.config import check, schema
from gatekeeper.settings.schema import json_schema
from tests.settings.helpers import NEEDED, write


def run(command: click.Command, *arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner(env=environ).invoke(command, arguments)


def test_a_right_file_is_summed_up(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED + "rules: [{path: /health, allow: public}]\n")
    result = run(check, "--config", str(path))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{path}: OK",
        "  https://app.example.com -> http://127.0.0.1:3000, listening on 127.0.0.1:8080",
        "  sessions end after 15m without activity, after 8h at the latest",
        "  1 rule; everything else needs a sign-in",
        "  second factor: optional",
        "  lockout: after 5 wrong passwords or codes, until it is unlocked",
        "  mail: none (no invitations, no recovery, no unlock links)",
        f"  database {tmp_path}/data/gatekeeper.db",
        f"  0 secrets: one will be made in {tmp_path}/data at the first start",
    ]
    assert result.stderr == ""
    assert not (tmp_path / "data").exists()


def test_forward_auth_is_summed_up(tmp_path: Path) -> None:
    text = """\
        public_url: https://app.example.com
        upstream: none
        trusted_proxies: 127.0.0.1
        two_factor: {roles: [payments]}
        lockout: {attempts: 1, unlock_after: 30m}
        mail: {from: gate@example.com, smtp: {host: mail.example.com}}
        """
    lines = run(check, "--config", str(write(tmp_path, text))).stdout.splitlines()
    assert lines[1] == (
        "  https://app.example.com: sign-in pages, and answers to the proxy at 127.0.0.1 (forward auth), "
        "listening on 127.0.0.1:8080"
    )
    assert lines[4:7] == [
        "  second factor: optional, mandatory for payments",
        "  lockout: after 1 wrong password or code, for 30m",
        "  mail: from gate@example.com, through mail.example.com:587 (tls: starttls)",
    ]


@pytest.mark.parametrize(
    ("more", "remarked"),
    [
        ("listen: [127.0.0.1:80, 0.0.0.0:80]\n", True),
        ("listen: 0.0.0.0:80\ntrusted_proxies: 10.0.0.1\n", False),
        ("listen: [127.0.0.1:80, 'unix:/run/gate.sock']\n", False),
    ],
)
def test_plain_http_to_the_world_is_remarked_upon(tmp_path: Path, more: str, remarked: bool) -> None:
    result = run(check, "--config", str(write(tmp_path, NEEDED + more)))
    assert result.exit_code == 0
    assert (
        "remark: speaks plain http on 0.0.0.0:80, though public_url is https" in result.stdout
    ) == remarked


@pytest.mark.parametrize(
    ("more", "summed_up"),
    [
        ("", "sign-in: passwords, Microsoft (tenant organizations), Staff (https://id.example.com)"),
        (
            "password: {sign_in: false}\n",
            "sign-in: Microsoft (tenant organizations), Staff (https://id.example.com)",
        ),
    ],
)
def test_who_vouches_for_people_is_summed_up(tmp_path: Path, more: str, summed_up: str) -> None:
    providers = (
        "microsoft: {client_id: 8d3b0c6e-0f5a-4a8e-9d52-2f1c7f5b3a10}\n"
        "oidc: [{name: staff, label: Staff, issuer: 'https://id.example.com', client_id: gate}]\n"
    )
    result = run(check, "--config", str(write(tmp_path, NEEDED + providers + more)))
    assert f"  {summed_up}" in result.stdout.splitlines()


def test_every_error_is_a_line_on_standard_error(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED + "prefix: x\nlisten: y\n")
    result = run(check, "--config", str(path), environ={"GATEKEEPER_LOG__LEVEL": "inf"})
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{path}:3:9: prefix: must begin with a slash: /x",
        f"{path}:4:9: listen[0]: needs a port, such as y:8080",
        "GATEKEEPER_LOG__LEVEL: log.level: must be debug, info, warning or error, did you mean info?",
        "3 errors",
    ]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    result = run(check, "--config", str(tmp_path / "no.yaml"))
    assert result.exit_code == 1
    message = "cannot be read: No such file or directory; name the configuration file with --config"
    assert result.stderr.startswith(f"{tmp_path}/no.yaml: {message}")


def test_the_schema_is_printed_as_json() -> None:
    result = run(schema)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()
