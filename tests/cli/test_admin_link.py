"""`gatekeeper admin-link` as the operator of a new installation types it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from click.testing import CliRunner, Result

from gatekeeper.accounts.errors import AccountError
from gatekeeper.build.services import Services
from gatekeeper.cli.admin_link import admin_link
from gatekeeper.core.clock import SteadyClock
from gatekeeper.settings import load_settings


def types(config: Path) -> Result:
    return CliRunner().invoke(admin_link, ["--config", str(config)])


def token_of(result: Result) -> str:
    assert result.exit_code == 0, result.output
    match = re.search(r"^http://127\.0\.0\.1:8080/_gate/setup#(\S+)$", result.stdout, re.MULTILINE)
    assert match is not None, result.output
    return match[1]


def test_the_first_administrator_gets_in_by_one_link_of_the_whole_installation(tmp_path: Path) -> None:
    config = tmp_path / "gatekeeper.yaml"
    config.write_text("public_url: http://127.0.0.1:8080\nupstream: http://127.0.0.1:3000\n")
    first, second = token_of(types(config)), token_of(types(config))

    async def redeem(token: str) -> tuple[str, ...]:
        services = Services(load_settings(config, {}), SteadyClock())
        await services.db.open()
        try:
            password = "four random words here"
            return (await services.admin_link.redeem(token, "ada", "", "ada@example.com", password)).roles
        except AccountError as error:
            return (error.reason,)
        finally:
            await services.db.close()
            services.hasher.close()

    assert asyncio.run(redeem(first)) == ("link_closed",)  # the newer one replaced it
    assert asyncio.run(redeem(second)) == ("gatekeeper-admin",)
    refused = types(config)
    assert refused.exit_code == 1 and "user add LOGIN --role gatekeeper-admin" in refused.output
