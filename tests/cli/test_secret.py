"""`gatekeeper secret rotate`: from one secret to another while people sign in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gatekeeper.cli.secret import secret
from gatekeeper.core.secretbox import SealBroken
from gatekeeper.storage import tables
from tests.accounts.support import LOGIN, World, world
from tests.factors.support import SESSION, App, factors, set_up

OLD = "0ld-b6a1c29f4d7e8035a1b2c3d4e5f60718"
NEW = "new-93d2f18c7b6a504e3f2e1d0c9b8a7968"


class Installation:
    """A configuration, its secrets, and one account with a second factor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "gatekeeper.yaml"
        (folder / "data").mkdir()
        self.now = 0.0
        self.key = ""

    def has(self, *secrets: str) -> None:
        said = f"secret: {json.dumps(list(secrets))}\n" if secrets else ""
        self.config.write_text(f"public_url: http://127.0.0.1:8080\ndata_dir: data\n{said}")
        self.config.chmod(0o600)

    def rotates(self, *words: str) -> Result:
        return CliRunner().invoke(secret, ["rotate", *words, "--config", str(self.config)])

    def serves(self, story: Callable[[World], Awaitable[Any]]) -> Any:
        async def told() -> Any:
            async with world(self.folder / "data") as made:
                made.now = self.now or made.now
                try:
                    return await story(made)
                finally:
                    self.now = made.now + 30

        return asyncio.run(told())

    def set_up(self, under: str) -> None:
        async def story(made: World) -> None:
            second = factors(made, secrets=(under,))
            pat = await made.pat()
            self.key = (await second.begin(pat, session=SESSION)).secret
            await set_up(made, second, pat)

        self.serves(story)

    def signs_in(self, *secrets: str) -> str:
        async def story(made: World) -> str:
            pat = await made.users.find(LOGIN)
            assert pat is not None
            return await factors(made, secrets=secrets).verify(pat, App(made, self.key).code, device=None)

        return str(self.serves(story))


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_the_documented_way_from_one_secret_to_the_next(installation: Installation) -> None:
    installation.set_up(OLD)
    installation.has(NEW, OLD)
    assert installation.signs_in(NEW, OLD) == "otp", "after the restart, before the rotation"
    result = installation.rotates()
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "second factors: 1 encrypted anew, 0 under the first secret already\n"
        "waiting mails: 0 encrypted anew, 0 under the first secret already\n"
        "signing keys: 0 encrypted anew, 0 under the first secret already\n"
        "kept forms: 0 encrypted anew, 0 under the first secret already\n"
        "kept forms' summaries: 0 encrypted anew, 0 under the first secret already\n"
    )
    assert installation.signs_in(NEW, OLD) == "otp"
    installation.has(NEW)
    assert installation.signs_in(NEW) == "otp"
    with pytest.raises(SealBroken):
        installation.signs_in(OLD)
    again = installation.rotates()
    assert "to replace it, put a new one in front of it first" in again.stdout
    assert "second factors: 0 encrypted anew, 1 under the first secret already" in again.stdout
    events = installation.serves(lambda made: made.rows(tables.audit_events))
    rotated = [event["details"] for event in events if event["kind"] == "secret.rotated"]
    assert rotated[0] == {"encrypted_anew": 1, "already": 0, "not_decrypted": 0}


def test_a_secret_that_is_missing_is_said_and_nothing_is_lost(installation: Installation) -> None:
    installation.set_up(OLD)
    installation.has(NEW)
    result = installation.rotates("--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0] == {"what": "second factors", "done": 0, "already": 0, "broken": [1]}
    assert "1 cannot be decrypted with any of the 1 configured secrets" in result.stderr
    assert OLD not in result.output and NEW not in result.output
    assert installation.signs_in(NEW, OLD) == "otp"


def test_before_the_first_start_there_is_nothing_to_rotate(installation: Installation) -> None:
    installation.has()
    result = installation.rotates()
    assert result.exit_code == 1
    assert "there is no secret yet" in result.stderr
    assert not (installation.folder / "data" / "secret").exists()
