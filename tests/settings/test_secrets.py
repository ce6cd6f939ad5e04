"""Secrets: from the file, from files of their own, or made once; never weak, never readable by others."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from gatekeeper.settings import Settings, SettingsError, load_settings, secrets
from tests.settings.helpers import NEEDED, complaint, complaints, load, write

GOOD = "b3q9-Wm2x_Lk7vTz0Ray5HcJ8pNd4sFgQ"
OTHER = "Z1oTq6uYh3XnEw9rBk0mVc7sLdJf5gPa"


def values(settings: Settings) -> list[str]:
    return [secret.get_secret_value() for secret in settings.secrets]


def secret_file(folder: Path, text: str = GOOD + "\n", mode: int = 0o600) -> Path:
    path = folder / "a-secret"
    path.write_bytes(text.encode("latin-1"))
    path.chmod(mode)
    return path


def test_a_secret_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED)
    first = values(load_settings(path, {}))
    assert len(first) == 1
    assert len(first[0]) >= 64
    assert values(load_settings(path, {})) == first
    kept = tmp_path / "data/secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in kept.parent.iterdir()] == ["secret"]


def test_a_wide_umask_does_not_open_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_settings(write(tmp_path, NEEDED), {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data/secret").stat().st_mode) == 0o600


def test_checking_makes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path).secrets == ()
    assert not (tmp_path / "data").exists()


def test_a_wrong_configuration_makes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED + "templates_dir: nowhere\n")
    with pytest.raises(SettingsError):
        load_settings(path, {})
    assert not (tmp_path / "data").exists()


def _start(folder: str) -> str:
    return secrets.own_secret(Path(folder))


def test_processes_that_start_together_get_the_same_secret(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map(_start, [str(tmp_path / "data")] * 16, chunksize=1)
    assert len(set(found)) == 1
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == ["secret"]


def test_somebody_faster_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_link(draft: Path, path: Path, **_: object) -> None:
        secret_file(tmp_path).rename(path)
        raise FileExistsError

    monkeypatch.setattr(os, "link", slow_link)
    assert secrets.own_secret(tmp_path) == GOOD
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_a_data_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = write(tmp_path, NEEDED + "data_dir: file/data\n")
    with pytest.raises(
        SettingsError, match=r"3:11: data_dir: .*file/data cannot be created: .*file is no folder"
    ):
        load_settings(path, {})
    path = write(tmp_path, NEEDED + f"data_dir: {'x' * 300}\n")
    with pytest.raises(SettingsError, match="secret cannot be created: File name too long"):
        load_settings(path, {})


def test_secrets_in_the_file_keep_their_order(tmp_path: Path) -> None:
    assert values(load(tmp_path, f"secret: [{GOOD}, {OTHER}]\n")) == [GOOD, OTHER]
    assert values(load(tmp_path, f"secret: {OTHER}\n")) == [OTHER]


def test_secrets_in_files_of_their_own(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    assert values(load(tmp_path, "secret_file: a-secret\n")) == [GOOD]
    assert values(load(tmp_path, "", {"GATEKEEPER_SECRET_FILE": str(path)})) == [GOOD]
    assert values(load(tmp_path, "", {"GATEKEEPER_SECRET": OTHER})) == [OTHER]


@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_secret_given_twice_is_an_error(tmp_path: Path, where: str) -> None:
    secret_file(tmp_path)
    said = "secret_file: is given as well as secret: keep one of the two"
    if where == "file":
        assert complaint(tmp_path, f"secret: {GOOD}\nsecret_file: a-secret\n") == said
    else:
        assert complaint(tmp_path, "secret_file: a-secret\n", {"GATEKEEPER_SECRET": GOOD}) == said


@pytest.mark.parametrize(
    ("weak", "said"),
    [
        ("short", "5 characters, at least 32"),
        ("a" * 64, "not random"),
        ("abcdefgh" * 8, "not random"),
        ("please-changeme-0123456789-abcdefghij", "not random"),
    ],
)
def test_a_weak_secret_is_an_error_wherever_it_stands(tmp_path: Path, weak: str, said: str) -> None:
    for found in (
        complaint(tmp_path, f"secret: [{GOOD}, {weak}]\n"),
        complaint(tmp_path, f"secret_file: {secret_file(tmp_path, weak)}\n"),
        complaint(tmp_path, "", {"GATEKEEPER_SECRET": weak}),
    ):
        assert "is too weak" in found
        assert said in found
        assert weak not in found


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_secret_that_others_can_read_is_an_error(tmp_path: Path, mode: int) -> None:
    said = "can be read or changed by others"
    assert said in complaint(tmp_path, f"secret_file: {secret_file(tmp_path, mode=mode)}\n")
    (tmp_path / "data").mkdir()
    secret_file(tmp_path, mode=mode).rename(tmp_path / "data/secret")
    assert said in complaint(tmp_path, "")
    path = write(tmp_path, NEEDED + f"secret: {GOOD}\n", mode=mode)
    with pytest.raises(SettingsError, match=rf"3:9: secret: a secret stands in here, but .*{said}"):
        load_settings(path, {})


def test_a_file_without_a_secret_may_be_read_by_all(tmp_path: Path) -> None:
    path = write(tmp_path, NEEDED, mode=0o644)
    assert load_settings(path, {}, create=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "\n" + OTHER, "must hold one line"),
        ("x" * 5000, "at most 4096 bytes"),
        ("\xff" * 40, "not UTF-8"),
    ]
    + [("", "is too weak: 0 characters")],
)
def test_a_secret_file_holds_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, f"secret_file: {secret_file(tmp_path, text)}\n")


def test_a_secret_file_that_is_no_file_is_an_error_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    found = complaints(tmp_path, NEEDED + "secret_file: [nowhere, pipe, data]\n")
    assert [text.partition(": ")[2].replace(str(tmp_path), "") for text in found] == [
        "secret_file[0]: nowhere cannot be read: No such file or directory",
        "secret_file[1]: pipe is not a file",
        "secret_file[2]: data cannot be read: No such file or directory",
    ]


def test_a_secret_is_shown_nowhere(tmp_path: Path) -> None:
    settings = load(tmp_path, f"secret: {GOOD}\n")
    assert GOOD not in repr(settings) + str(settings) + settings.model_dump_json()
    for more in (f"secret: {{a: {GOOD}}}\n", f"secret: [[{GOOD}]]\n", f"secret: {GOOD}\nprefix: x\n"):
        assert GOOD not in "\n".join(complaints(tmp_path, NEEDED + more))
    for sign in ("!", "!x!", "*", "&", "@", "`", "%", "{", "[", "? ", "- ", "| ", "> ", "'", '"'):
        assert GOOD not in "\n".join(complaints(tmp_path, NEEDED + f"secret: {sign}{GOOD}\n")), sign
    number = "1234567890" * 5
    found = complaint(tmp_path, f"secret: {number}\n")
    assert number not in found
    assert "in quotes" in found
