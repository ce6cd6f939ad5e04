"""Folder, disk, secrets, descriptors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatekeeper.doctor.descriptors import DescriptorsCheck
from gatekeeper.doctor.files import DataDirCheck, SecretsCheck
from gatekeeper.doctor.protocol import Level
from tests.doctor.support import levels, run, texts

PLENTY = 50_000_000_000


def private(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder


def test_a_closed_folder_with_room_is_fine(tmp_path: Path) -> None:
    found = run(DataDirCheck(private(tmp_path / "data"), free=lambda _: PLENTY))
    assert levels(found) == [Level.OK, Level.OK]


@pytest.mark.parametrize(
    ("mode", "level", "words"),
    [(0o755, Level.WARN, "read by others"), (0o770, Level.FAIL, "changed by others")],
)
def test_a_folder_open_to_others_is_named_with_its_remedy(
    tmp_path: Path, mode: int, level: Level, words: str
) -> None:
    folder = private(tmp_path / "data")
    folder.chmod(mode)
    found = run(DataDirCheck(folder, free=lambda _: PLENTY))
    assert found[0].level is level and words in found[0].text and "chmod 700" in found[0].advice


@pytest.mark.parametrize(("free", "level"), [(500_000_000, Level.WARN), (5_000_000, Level.FAIL)])
def test_a_disk_that_fills_is_said_before_it_is_full(tmp_path: Path, free: int, level: Level) -> None:
    assert run(DataDirCheck(private(tmp_path / "data"), free=lambda _: free))[-1].level is level


def test_an_unreadable_disk_is_a_finding(tmp_path: Path) -> None:
    def broken(_folder: Path) -> int:
        raise OSError(5, "Input/output error")

    assert "Input/output error" in run(DataDirCheck(private(tmp_path / "data"), free=broken))[-1].text


def test_somebody_else_s_folder_is_pointed_out(tmp_path: Path) -> None:
    folder = private(tmp_path / "data")
    found = run(DataDirCheck(folder, user=os.geteuid() + 1, free=lambda _: PLENTY))
    assert "belongs to" in texts(found)


def test_what_is_no_folder_or_not_there_yet(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert run(DataDirCheck(file, free=lambda _: PLENTY))[0].level is Level.FAIL
    assert levels(run(DataDirCheck(tmp_path / "none"))) == [Level.WARN]


def test_files_with_secrets_in_them_must_be_closed(tmp_path: Path) -> None:
    database = tmp_path / "gatekeeper.db"
    database.touch(mode=0o600)
    assert levels(run(SecretsCheck(1, None, [database]))) == [Level.OK]
    database.chmod(0o640)
    found = run(SecretsCheck(1, None, [database, tmp_path / "missing"]))
    assert levels(found) == [Level.OK, Level.FAIL]
    assert found[1].advice == f"chmod 600 {database}"
    assert run(SecretsCheck(0, None, []))[0].level is Level.WARN
    assert "keep a copy" in run(SecretsCheck(1, tmp_path / "secret", []))[0].text


def test_descriptors_are_compared_with_the_connections_wanted() -> None:
    assert levels(run(DescriptorsCheck(20_000, 10_000, 10_000))) == [Level.OK]
    assert levels(run(DescriptorsCheck(1024, 800, 10_000))) == [Level.WARN]
    assert levels(run(DescriptorsCheck(100, None, 10_000))) == [Level.FAIL]
