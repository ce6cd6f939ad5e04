"""Checks run beside each other; one that hangs or breaks says so and hides nothing."""

from __future__ import annotations

import asyncio

from gatekeeper.doctor.protocol import Finding, Level, fail, ok, warn
from gatekeeper.doctor.runner import Report, examine, worst


class Says:
    def __init__(self, name: str, *findings: Finding) -> None:
        self.name = name
        self._findings = findings

    async def run(self) -> list[Finding]:
        return list(self._findings)


class Hangs(Says):
    async def run(self) -> list[Finding]:
        await asyncio.Event().wait()
        return []


class Breaks(Says):
    async def run(self) -> list[Finding]:
        raise KeyError("oops")


def test_the_report_has_every_check_in_order_whatever_one_of_them_does() -> None:
    checks = [Hangs("slow"), Breaks("broken"), Says("fine", ok("all right"))]
    reports = asyncio.run(examine(checks, limit=0.05))
    assert [report.check for report in reports] == ["slow", "broken", "fine"]
    assert [report.findings[0].level for report in reports] == [Level.FAIL, Level.FAIL, Level.OK]
    assert "0.05 s" in reports[0].findings[0].text
    assert "KeyError" in reports[1].findings[0].text


def test_the_worst_finding_is_the_report_s_level() -> None:
    good, odd, bad = ok("a"), warn("b", "do"), fail("c", "do")
    assert worst([]) is Level.OK
    assert worst([Report("x", [good]), Report("y", [odd])]) is Level.WARN
    assert worst([Report("x", [bad, good]), Report("y", [odd])]) is Level.FAIL
