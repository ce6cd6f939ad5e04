"""Durations and sizes: what is accepted, and how they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.settings.units import duration_text, parse_duration, parse_size, size_text
from tests.settings.helpers import complaint, load


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("15s", 15),
        ("15m", 900),
        ("8h", 28_800),
        ("30d", 2_592_000),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["15", "", "m", "-1m", "15 m", "15min", "1h30m", "1e3s", "١٥m", "15M", "1.m", "15m\n"]
)
def test_everything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1B", 1),
        ("10MB", 10_000_000),
        ("1KiB", 1024),
        ("1.5 GB", 1_500_000_000),
        ("2GiB", 2 << 30),
        ("64KB", 64_000),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, number: int) -> None:
    assert parse_size(text) == number


def test_a_nearly_right_size_is_corrected() -> None:
    for text, better in (("10mb", "10MB"), ("10M", "10MB"), ("4gib", "4GiB"), ("8k", "8KB")):
        with pytest.raises(ValueError, match=f"did you mean {better}"):
            parse_size(text)


def test_the_shortest_way_to_write_is_found() -> None:
    assert [duration_text(n) for n in (900.0, 86_400.0, 0.5, 90.0, 0.0)] == [
        "15m",
        "1d",
        "500ms",
        "90s",
        "0s",
    ]
    assert [size_text(n) for n in (16_000_000, 1024, 2_000_000_000, 1)] == ["16MB", "1KiB", "2GB", "1B"]


def test_durations_and_sizes_have_bounds(tmp_path: Path) -> None:
    assert load(tmp_path, "session: {idle_timeout: 1s}\n").session.idle_timeout == 1.0
    assert complaint(tmp_path, "session: {idle_timeout: 999ms}\n").endswith("must be between 1s and 365d")
    assert complaint(tmp_path, "limits: {request_body: 1B}\n").endswith("must be between 1KB and 10TB")
    assert complaint(tmp_path, "session: {idle_timeout: true}\n").startswith(
        "session.idle_timeout: must be a duration"
    )


def test_the_idle_timeout_is_within_the_absolute_one(tmp_path: Path) -> None:
    said = "idle_timeout is longer than absolute_timeout, and could never end a session"
    assert complaint(tmp_path, "session: {idle_timeout: 9h}\n") == f"session.idle_timeout: {said}"
    assert complaint(tmp_path, "session: {absolute_timeout: 5m}\n") == f"session.absolute_timeout: {said}"
    assert load(tmp_path, "session: {idle_timeout: 8h}\n").session.idle_timeout == 28_800


def test_a_remembered_session_is_within_its_longest(tmp_path: Path) -> None:
    said = "remember is longer than remember_max, and could never end a session"
    assert complaint(tmp_path, "session: {remember: 31d}\n") == f"session.remember: {said}"
    assert complaint(tmp_path, "session: {remember_max: 1d}\n") == f"session.remember_max: {said}"
    assert complaint(tmp_path, "session: {remember: 5m}\n").endswith("must be between 10m and 365d")
    whole = load(tmp_path, "session: {remember_me: true, remember: 2d}\n").session
    assert (whole.remember_me, whole.remember, whole.remember_max) == (True, 172_800, 2_592_000)
