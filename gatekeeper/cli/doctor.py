"""`gatekeeper doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import click

from gatekeeper.build.doctor import make_checks
from gatekeeper.cli.common import config_option, json_option, print_json
from gatekeeper.core.errors import GatekeeperError
from gatekeeper.doctor.protocol import Level, fail
from gatekeeper.doctor.runner import Report, examine, worst
from gatekeeper.gate.server.descriptors import raise_descriptor_limit
from gatekeeper.settings import SettingsError, load_settings

_MARKS = {Level.OK: "ok  ", Level.WARN: "warn", Level.FAIL: "FAIL"}
_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command()
@config_option
@json_option
def doctor(config: Path, as_json: bool) -> None:
    """Examine everything that Gatekeeper depends on: files, database, mail server, application, clock, and
    whether public_url leads here through whatever is in front.

    Run it as Gatekeeper's user while `gatekeeper serve` runs. No mail is sent, and nothing is changed but one
    row written to the database and removed. Exit code 1 when something fails, else 0.
    """
    reports = _reports(config)
    if as_json:
        print_json(_as_json(reports))
    else:
        _print(reports)
    if worst(reports) is Level.FAIL:
        raise click.exceptions.Exit(1)


def _reports(config: Path) -> list[Report]:
    try:
        settings = load_settings(config, os.environ, create=False)
        checks = make_checks(settings, config, clock=time.time, descriptors=raise_descriptor_limit())
    except SettingsError as error:
        advice = "mend the configuration; then doctor looks at the rest"
        return [Report("configuration", [fail(str(problem), advice) for problem in error.problems])]
    except (GatekeeperError, OSError, ValueError) as error:
        return [Report("configuration", [fail(str(error), "mend the configuration; then run doctor again")])]
    return asyncio.run(examine(checks))


def _print(reports: Sequence[Report]) -> None:
    width = max(len(report.check) for report in reports)
    for report in reports:
        for finding in report.findings:
            mark = click.style(_MARKS[finding.level], fg=_COLOURS[finding.level])
            click.echo(f"{mark}  {report.check.ljust(width)}  {finding.text}")
            if finding.advice:
                click.echo(f"{'':{width + 8}}→ {finding.advice}")


def _as_json(reports: Sequence[Report]) -> dict[str, object]:
    return {
        "level": worst(reports).value,
        "findings": [
            {
                "check": report.check,
                "level": finding.level.value,
                "text": finding.text,
                "advice": finding.advice,
            }
            for report in reports
            for finding in report.findings
        ],
    }
