"""When a mail is tried again."""

from __future__ import annotations

import pytest

from gatekeeper.mail.backoff import delay


@pytest.mark.parametrize(
    ("attempts", "minutes"),
    [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (100_000, 60)],
)
def test_from_a_minute_to_an_hour(attempts: int, minutes: int) -> None:
    assert delay(attempts, 0.0) == minutes * 60
    assert delay(attempts, 1.0) == minutes * 75
