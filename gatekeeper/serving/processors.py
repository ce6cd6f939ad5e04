"""How many processes `processes: auto` is."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Literal

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def count_processes(wanted: int | Literal["auto"], quota: Path = _QUOTA) -> int:
    """`auto`: the processors that this process may use, and no more than a container's quota allows."""
    if wanted != "auto":
        return wanted
    usable = len(os.sched_getaffinity(0))
    try:
        most, period = quota.read_text().split()
        usable = min(usable, math.ceil(int(most) / int(period)))
    except (OSError, ValueError):
        pass  # no container, or "max": no quota
    return max(1, min(usable, 64))
