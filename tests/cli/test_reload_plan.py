"""`gatekeeper reload --dry-run`: what a new configuration would change, and for whom of those signed in."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.reload import reload
from gatekeeper.settings import make_settings
from gatekeeper.settings.comparison import compare_keys, compare_rules
from gatekeeper.settings.load import Source
from gatekeeper.settings.snapshot import read_snapshot, write_snapshot
from tests.sessions.support import HandClock, World, sign_in

SECRET = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
OTHER = "0f9e8d7c6b5a49382716f5e4d3c2b1a0"
BASE = {"public_url": "https://gate.example.com", "upstream": "http://127.0.0.1:3000"}
MAIL = {"from": "gate@example.com", "smtp": {"host": "mail.example.com", "username": "gate"}}


class Operator:
    """Someone at a shell, with pat signed in twice and kim once."""

    def __init__(self, folder: Path) -> None:
        self.old, self.new = folder / "old.yaml", folder / "gatekeeper.yaml"
        (folder / "data").mkdir()
        secret = folder / "data/secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        asyncio.run(self._people_sign_in(folder / "data"))

    async def _people_sign_in(self, folder: Path) -> None:
        world = World(folder)
        world.clock = HandClock(time.time())
        manager = await world.process()
        pat, kim = await world.add_user("pat"), await world.add_user("kim")
        for user in (pat, pat, kim):
            await sign_in(manager, user)
        await world.close()

    def compares(self, old: str, new: str, *words: str) -> Result:
        base = "public_url: http://127.0.0.1:8080\nupstream: http://127.0.0.1:3000\n"
        for file, more in ((self.old, old), (self.new, new)):
            file.write_text(base + more)
            file.chmod(0o600)
        command = ["--dry-run", "--against", str(self.old), "--config", str(self.new), *words]
        return CliRunner().invoke(reload, command)

    def finds(self, old: str, new: str, *words: str) -> dict[str, Any]:
        result = self.compares(old, new, "--json", *words)
        assert result.exit_code == 0, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def brief(differences: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    return {
        (
            each["kind"],
            f"{each['method']} {each['path']}",
            each["before"]["outcome"],
            each["after"]["outcome"],
        )
        for each in differences
    }


def test_it_says_who_of_those_signed_in_loses_and_gains_what(operator: Operator) -> None:
    found = operator.finds(
        "rules:\n  - {path: /admin/**, allow: {users: kim}}\n  - {path: /help, allow: public}\n",
        "rules:\n  - {path: /admin/**, allow: {users: pat}}\n",
    )
    assert (found["sessions"], found["people"]) == (3, 2)
    kim, pat = found["affected"]
    assert (kim["login"], kim["sessions"], pat["login"], pat["sessions"]) == ("kim", 1, "pat", 2)
    admin = ("GET /admin", "GET /admin/example")
    assert brief(kim["differences"]) == {("loses", path, "allow", "forbidden") for path in admin}
    assert brief(pat["differences"]) == {("gains", path, "forbidden", "allow") for path in admin}
    assert brief(found["not_signed_in"]) == {("loses", "GET /help", "allow", "sign_in")}
    assert [(one["change"], one["before"], one["after"]) for one in found["rules"]] == [
        ("changed", "rules[0]", "rules[0]"),
        ("removed", "rules[1]", ""),
    ]
    assert found["keys"] == [] and found["warnings"] == []


def test_in_words_it_claims_no_more_than_was_compared(operator: Operator) -> None:
    result = operator.compares("", "rules: [{path: /pay, methods: POST, allow: deny}]\n")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "added: rules[0] /pay POST: nobody may" in text
    assert "pat (2 sessions):\n  lose: POST /pay (allow, then deny by rules[0])" in text
    assert "example requests" in text and "Not compared: other addresses" in text
    same = operator.compares("", "").stdout
    assert "Rules: no change." in same and "No difference for 2 people" in same


def test_a_method_or_a_network_of_a_rule_is_asked_for(operator: Operator) -> None:
    found = operator.finds("", "rules: [{path: /x, networks: 203.0.113.0/24, methods: PUT, allow: deny}]\n")
    (only,) = found["affected"][0]["differences"]
    assert (only["method"], only["path"], only["client"]) == ("PUT", "/x", "203.0.113.1")


def test_a_regular_expression_has_no_example_until_one_is_given(operator: Operator) -> None:
    rule = "rules: [{path_regex: '/v[0-9]+/pay', allow: deny}]\n"
    found = operator.finds("", rule)
    assert found["affected"] == [] and "/v[0-9]+/pay" in found["warnings"][0]
    assert operator.finds("", rule, "--path", "/v2/pay")["affected"][0]["differences"]


def test_sessions_that_would_be_over_or_unfinished_are_named(operator: Operator) -> None:
    stricter = operator.finds("", "two_factor: {mode: mandatory}\n")
    assert [one["login"] for one in stricter["affected"]] == ["kim", "pat"]
    assert all(one["step"] for one in stricter["affected"])
    assert stricter["keys"] == ["two_factor.mode"]


def test_a_signing_secret_that_goes_signs_everybody_out(operator: Operator) -> None:
    kept = operator.finds(f"secret: {SECRET}\n", f"secret: [{OTHER}, {SECRET}]\n")
    assert kept["affected"] == [] and kept["warnings"] == [] and kept["keys"] == ["secret"]
    mail = "mail: {from: gate@example.com, smtp: {host: m.example.com, username: u, password: word-1}}\n"
    gone = operator.finds(f"secret: {SECRET}\n{mail}", f"secret: {OTHER}\n{mail}")
    assert gone["keys"] == ["secret"]
    assert [(one["login"], one["signed_out"]) for one in gone["affected"]] == [("kim", 1), ("pat", 2)]
    assert "everybody is signed out" in gone["warnings"][0]
    assert SECRET not in json.dumps(gone) and OTHER not in json.dumps(gone)


def test_without_something_to_compare_with_it_says_so(operator: Operator) -> None:
    operator.compares("", "")
    result = CliRunner().invoke(reload, ["--dry-run", "--config", str(operator.new)])
    assert result.exit_code == 1 and "--against" in result.output
    result = CliRunner().invoke(reload, ["--path", "/x", "--config", str(operator.new)])
    assert result.exit_code == 2 and "--dry-run" in result.output
    broken = operator.compares("", "sesion: {}\n")
    assert broken.exit_code == 1 and "did you mean session" in broken.output


def test_rules_that_only_stand_elsewhere_are_moved_and_those_around_them_are_not() -> None:
    one, two, three = ({"path": f"/{name}", "allow": "deny"} for name in ("a", "b", "c"))
    old = make_settings({**BASE, "rules": [one, two, three]}, create=False)
    new = make_settings({**BASE, "rules": [{"path": "/n", "allow": "deny"}, three, one, two]}, create=False)
    assert [(each.change, each.before, each.after) for each in compare_rules(old, new)] == [
        ("added", "", "rules[0]"),
        ("moved", "rules[2]", "rules[1]"),
    ]


def test_a_snapshot_holds_no_secret_and_still_tells_that_one_changed(tmp_path: Path) -> None:
    def taken(password: str, key: str = SECRET) -> str:
        mail = MAIL | {"smtp": MAIL["smtp"] | {"password": password}}  # type: ignore[operator]
        data = {**BASE, "secret": [key, OTHER], "mail": mail}
        return write_snapshot(Source(data, tmp_path, ()), key, version="1")

    for secret in (SECRET, OTHER, "correct horse"):
        assert secret not in taken("correct horse")
    one, same, other = (read_snapshot(taken(word), [SECRET]) for word in ("word-1", "word-1", "word-2"))
    assert compare_keys(one.settings, same.settings) == []
    assert compare_keys(one.settings, other.settings) == ["mail.smtp.password"]
    assert one.key == SECRET and read_snapshot(taken("word-1"), [OTHER]).key == ""
    with pytest.raises(ValueError, match="another version"):
        read_snapshot("{}", [SECRET])
