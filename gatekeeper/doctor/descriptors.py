"""Are there file descriptors for as many connections as the configuration allows?"""

from __future__ import annotations

from gatekeeper.doctor.protocol import Finding, fail, ok, warn

_ADVICE = "raise the limit: LimitNOFILE= of the systemd unit, or `ulimit -n`"


class DescriptorsCheck:
    """`granted` descriptors, of which `possible` connections can be made (None: hardly any)."""

    name = "descriptors"

    def __init__(self, granted: int, possible: int | None, wanted: int) -> None:
        self._granted = granted
        self._possible = possible
        self._wanted = wanted

    async def run(self) -> list[Finding]:
        if self._possible is None:
            return [fail(f"{self._granted} are too few to serve at all", _ADVICE)]
        if self._possible < self._wanted:
            text = f"{self._granted} suffice for {self._possible} of limits.connections = {self._wanted}"
            return [warn(f"{text}, if the service is started like this command", _ADVICE)]
        return [ok(f"{self._granted}: enough for {self._wanted} connections")]
