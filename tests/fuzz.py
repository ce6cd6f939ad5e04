"""How much is generated: one switch for every property test that asks here.

A normal run generates little. `./run test --all` generates `FULL` inputs for every parser;
FUZZ_EXAMPLES=N sets another number for both.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FULL = 200_000
VARIABLE = "FUZZ_EXAMPLES"  # not GATEKEEPER_…: that would be taken for a key of the configuration


def examples(quick: int, *, share: float = 1.0) -> int:
    """`quick` in a normal run, else `share` of the number asked for: what costs more gets less."""
    wanted = os.environ.get(VARIABLE)
    return quick if wanted is None else max(1, int(int(wanted) * share))


def fuzz(quick: int, *, share: float = 1.0) -> settings:
    """Decorates a test: without time limits, and different inputs in every full run."""
    return settings(
        max_examples=examples(quick, share=share),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
