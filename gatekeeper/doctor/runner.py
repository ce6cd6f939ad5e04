"""Running checks beside each other, each within a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gatekeeper.doctor.protocol import Check, Finding, Level, fail

TIME_LIMIT = 20.0
"""Seconds for one check; they run beside each other."""

_BADNESS = (Level.OK, Level.WARN, Level.FAIL)


class Report(NamedTuple):
    """What one check found."""

    check: str
    findings: Sequence[Finding]


async def examine(checks: Iterable[Check], *, limit: float = TIME_LIMIT) -> list[Report]:
    """Run all `checks`; the reports in their order. A check that hangs or breaks is a finding of its own."""
    return list(await asyncio.gather(*(_one(check, limit) for check in checks)))


def worst(reports: Iterable[Report]) -> Level:
    """The worst level of all findings."""
    levels = [finding.level for report in reports for finding in report.findings]
    return max(levels, key=_BADNESS.index, default=Level.OK)


async def _one(check: Check, limit: float) -> Report:
    try:
        async with asyncio.timeout(limit):
            findings = await check.run()
    except TimeoutError:
        findings = [
            fail(f"no answer within {limit:g} s", "something on the way takes packets and does not answer")
        ]
    except Exception as error:  # one broken check must not hide what the others found
        findings = [
            fail(
                f"could not be examined: {type(error).__name__}: {error}",
                "this is a mistake in Gatekeeper: please report it",
            )
        ]
    return Report(check.name, findings)
