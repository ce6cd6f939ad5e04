"""What the supervisor keeps about its workers, and about the settings that they serve with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gatekeeper.serving.processors import count_processes
from gatekeeper.settings import Settings

State = Literal["starting", "serving", "leaving"]


@dataclass(slots=True)
class Worker:
    """One child. `deadline`: when it is killed, on the supervisor's clock."""

    pid: int
    slot: int
    generation: int
    pipe: int
    board: int
    born: float
    deadline: float
    state: State = "starting"


@dataclass(slots=True)
class Slot:
    """A place for a worker: how often what was there died lately, and when the next one is due."""

    deaths: int = 0
    due: float | None = None


@dataclass(slots=True)
class Generation:
    """One set of settings in force, or about to be."""

    number: int
    settings: Settings
    slots: list[Slot] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        """All that these settings listen on."""
        metrics = self.settings.metrics
        return [*self.settings.listen, *([metrics.listen] if metrics is not None else [])]


def make_generation(number: int, settings: Settings) -> Generation:
    count = count_processes(settings.processes)
    return Generation(number, settings, [Slot() for _ in range(count)])
