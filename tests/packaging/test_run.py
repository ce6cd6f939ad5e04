"""`./run` in a small clone of its own: empty lock files and a package that says how it was called."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Python first on the path is the one that runs the tests; the rest is what every Debian machine has.
PATH = f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone that was started once."""
    clone = make_clone(tmp_path_factory.mktemp("clone with space"))
    assert call(clone, "--version").stdout == "['--version']\n"
    return clone


def make_clone(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "run", folder / "run")
    (folder / "requirements.lock").write_text("# nothing\n")
    package = folder / "gatekeeper"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\n\nprint(sys.argv[1:])\n")
    return folder


def environment(**more: str) -> dict[str, str]:
    return {"PATH": PATH, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **more}


def call(clone: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone / "run", *words],
        cwd="/",
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("words", "passed_on"),
    [
        ((), ["demo"]),
        (("--upstream", "http://127.0.0.1:3000"), ["demo", "--upstream", "http://127.0.0.1:3000"]),
        (("--help",), ["--help"]),
        (("serve", "--config", "a b.yaml"), ["serve", "--config", "a b.yaml"]),
        (("demo", "--help"), ["demo", "--help"]),
    ],
)
def test_words_are_passed_on(prepared: Path, words: tuple[str, ...], passed_on: list[str]) -> None:
    assert call(prepared, *words).stdout == f"{passed_on}\n"


def test_a_second_start_prepares_nothing(prepared: Path) -> None:
    assert call(prepared, "check").stderr == ""


def test_works_through_a_symbolic_link_and_beside_another_environment(prepared: Path, tmp_path: Path) -> None:
    link = tmp_path / "gate"
    link.symlink_to(prepared / "run")
    misleading = environment(VIRTUAL_ENV="/nowhere", PYTHONHOME="/nowhere", PYTHONPATH="/nowhere")
    done = subprocess.run([link, "check"], cwd=tmp_path, env=misleading, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("['check']\n", 0)


def test_a_changed_lock_file_is_installed(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    call(clone, "check")
    (clone / ".venv" / "left-over").touch()
    (clone / "requirements.lock").write_text("# still nothing\n")
    done = call(clone, "check")
    assert "preparing" in done.stderr
    assert done.stdout == "['check']\n"
    assert not (clone / ".venv" / "left-over").exists()


def test_a_package_that_is_not_the_one_that_was_locked_is_refused(tmp_path: Path) -> None:
    clone, wheels = make_clone(tmp_path / "clone"), tmp_path / "wheels"
    digest = make_wheel(wheels)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    (clone / "requirements.lock").write_text(f"tiny==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    done = call(clone, "check", **offline)
    assert (done.returncode, done.stdout) == (1, "")
    assert "run: installing the 1 packages of requirements.lock" in done.stderr
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (clone / ".venv").exists()
    (clone / "requirements.lock").write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n")
    assert call(clone, "check", **offline).stdout == "['check']\n"


def test_an_environment_that_is_in_use_stays_whole_until_the_new_one_is(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    call(clone, "check")
    (clone / "requirements.lock").write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    assert call(clone, "check", PIP_NO_INDEX="1").returncode == 1
    gatekeeper = str(clone / ".venv" / "bin" / "gatekeeper")
    assert subprocess.run([gatekeeper, "serve"], capture_output=True, text=True).stdout == "['serve']\n"


def test_scripts_work_where_the_environment_ends_up(prepared: Path) -> None:
    pip = subprocess.run([prepared / ".venv" / "bin" / "pip", "--version"], capture_output=True, text=True)
    assert f"{prepared}/.venv/lib" in pip.stdout
    assert b".venv.new" not in (prepared / ".venv" / "bin" / "activate").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_somebody_elses_environment_is_left_alone(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    call(clone, "check")
    (clone / "requirements.lock").write_text("# still nothing\n")
    (clone / ".venv" / "left-over").touch()
    os.chown(clone / ".venv", 65534, -1)
    done = call(clone, "check")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "belongs to nobody, not to root: run this as its owner, or in a clone of your own" in done.stderr
    assert (clone / ".venv" / "left-over").exists()


def make_wheel(folder: Path) -> str:
    """A package without content; gives its SHA-256."""
    folder.mkdir()
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(
            "tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_what_was_interrupted_is_done_again(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    first = subprocess.Popen([clone / "run", "check"], env=environment(), start_new_session=True)
    deadline = time.monotonic() + 60
    while not (clone / ".venv.new" / "bin").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (clone / ".venv").exists()
    assert call(clone, "check").stdout == "['check']\n"
    assert not (clone / ".venv.new").exists()


def test_two_at_once_prepare_once(tmp_path: Path) -> None:
    clone = make_clone(tmp_path)
    both = [
        subprocess.Popen(
            [clone / "run", "check"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [out for out, _ in said] == ["['check']\n"] * 2
    assert sum("run: preparing" in err for _, err in said) == 1


def test_an_old_python_is_passed_over(tmp_path: Path) -> None:
    clone, old = make_clone(tmp_path / "clone"), tmp_path / "old"
    script(old / "python3", "exit 1")
    done = call(clone, "check", PATH=f"{old}:{PATH}")
    assert done.stdout == "['check']\n"


def test_without_venv_and_without_rights_it_says_what_to_install(tmp_path: Path) -> None:
    clone, bare = make_clone(tmp_path / "clone"), tmp_path / "bare"
    script(bare / "python3", f'case "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"')
    script(bare / "id", "echo 1000")
    done = call(clone, "check", PATH=f"{bare}:{PATH}")
    assert done.returncode == 1
    assert "apt-get install python3." in done.stderr
    assert "-venv" in done.stderr


def script(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
