"""Does the configuration say something that is seldom meant? (Mistakes are found before any check runs.)"""

from __future__ import annotations

from collections.abc import Sequence

from gatekeeper.doctor.protocol import Finding, ok, warn


class ConfigurationCheck:
    """`remarks` are of `settings.remarks`."""

    name = "configuration"

    def __init__(self, file: str, remarks: Sequence[str]) -> None:
        self._file = file
        self._remarks = remarks

    async def run(self) -> list[Finding]:
        if not self._remarks:
            return [ok(f"{self._file} is valid")]
        return [warn(remark, f"change it in {self._file}, if it is not meant") for remark in self._remarks]
