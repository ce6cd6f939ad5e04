"""Several processes, drained, reloaded and killed, while people work."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.serving.support import Installation, Load, WebSocket, get
from tests.stack.process import sign_in


@pytest.mark.slow
def test_reloading_again_and_again_under_load_loses_no_request_and_no_session(made: Installation) -> None:
    with made.serving():
        cookie = sign_in(made.port)
        with Load(made.port, cookie, b"ada") as load:
            for processes in (2, 3, 1, 2):
                before = made.workers()
                made.write(f"processes: {processes}\ndrain_timeout: 5s\n")
                done = made.run("reload")
                assert done.returncode == 0, done.stderr
                made.wait(lambda wanted=processes, old=before: _replaced(made, old, wanted))  # type: ignore[misc]
        assert load.failures == []
        assert load.answered > 200
    assert made.process is not None and made.process.returncode == 0


def _replaced(made: Installation, before: list[int], wanted: int) -> bool:
    now = made.workers()
    return len(now) == wanted and not set(now) & set(before)


def test_a_configuration_with_a_mistake_changes_nothing_and_says_where(made: Installation) -> None:
    with made.serving():
        cookie, workers = sign_in(made.port), made.workers()
        made.write("sesion: {}\n")
        done = made.run("reload")
        assert done.returncode == 1
        assert f"{made.config}:5:1: sesion" in done.stderr and "did you mean session" in done.stderr
        os.kill(made.pid, signal.SIGHUP)  # whoever does not ask first
        made.wait(lambda: "reload refused" in made.log)
        assert f"{made.config}:5:1: sesion" in made.log
        assert made.workers() == workers
        assert get(made.port, "/", cookie) == (200, b"ada")


@pytest.mark.slow
def test_an_address_that_is_taken_refuses_the_reload(made: Installation) -> None:
    with made.serving(), socket.create_server(("127.0.0.1", 0)) as taken:
        port, workers = taken.getsockname()[1], made.workers()
        made.write("processes: 2\n", listen=f"[127.0.0.1:{made.port}, 127.0.0.1:{port}]")
        done = made.run("reload")
        assert done.returncode == 1 and f"cannot listen on 127.0.0.1:{port}" in done.stderr
        assert made.workers() == workers and get(made.port)[0] in (302, 303, 401)


def test_workers_with_new_settings_that_do_not_start_leave_the_old_ones_serving(made: Installation) -> None:
    with made.serving():
        cookie, workers = sign_in(made.port), made.workers()
        made.write(f"processes: 2\ndatabase: sqlite:///{made.config}\n")  # valid to read, no database to open
        done = made.run("reload")
        assert done.returncode == 1 and "did not start" in done.stderr
        made.wait(lambda: made.workers() == workers)
        assert get(made.port, "/", cookie) == (200, b"ada")


@pytest.mark.slow
def test_new_addresses_are_opened_and_old_ones_closed(made: Installation) -> None:
    with made.serving():
        path = made.folder / "gate.sock"
        made.write("processes: 2\n", listen=f"[127.0.0.1:{made.port}, 'unix:{path}']")
        assert made.run("reload").returncode == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        made.write("processes: 2\n")
        assert made.run("reload").returncode == 0
        made.wait(lambda: not path.exists())


@pytest.mark.slow
def test_a_secret_is_replaced_with_nobody_signed_out(made: Installation) -> None:
    old, new = "a1b2c3d4e5f60718293a4b5c6d7e8f90", "0f9e8d7c6b5a49382716f5e4d3c2b1a0"
    made.write(f"processes: 2\ndrain_timeout: 5s\nsecret: {old}\n")
    made.config.chmod(0o600)
    with made.serving():
        cookie = sign_in(made.port)
        with Load(made.port, cookie, b"ada", threads=3) as load:
            for secrets in (f"[{old}, {new}]", f"[{new}, {old}]"):
                made.write(f"processes: 2\ndrain_timeout: 5s\nsecret: {secrets}\n")
                assert made.run("reload").returncode == 0
                fresh = sign_in(made.port)
                for _ in range(10):
                    assert get(made.port, "/", fresh) == (200, b"ada")
        assert load.failures == []
        made.write(f"processes: 2\ndrain_timeout: 5s\nsecret: {new}\n")
        assert made.run("reload").returncode == 0
        made.wait(lambda: get(made.port, "/", cookie)[0] != 200)  # the old one really is out of force
        assert get(made.port, "/", fresh) == (200, b"ada")


def test_a_worker_that_dies_is_replaced_and_the_others_go_on(made: Installation) -> None:
    with made.serving():
        cookie, (first, second) = sign_in(made.port), made.workers()
        os.kill(first, signal.SIGKILL)
        made.wait(lambda: len(made.workers()) == 2 and first not in made.workers())
        assert second in made.workers()
        # What the kernel puts into the socket of the dead one waits there for its successor.
        for _ in range(20):
            assert get(made.port, "/", cookie) == (200, b"ada")
        assert '"worker died"' in made.log, made.log


@pytest.mark.slow
def test_workers_do_not_outlive_a_supervisor_that_was_killed(made: Installation) -> None:
    with made.serving():
        workers = made.workers()
        os.kill(made.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while any(_alive(pid) for pid in workers):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_websocket_lives_on_through_a_reload_until_drain_timeout(made: Installation) -> None:
    made.write("processes: 1\ndrain_timeout: 6s\n")
    with made.serving():
        cookie = sign_in(made.port)
        with WebSocket(made.port, cookie) as people:
            assert people.echo(b"before") == b"before"
            assert made.run("reload").returncode == 0
            switched = time.monotonic()
            assert people.echo(b"after") == b"after"
            opcode, body = people.frame()
            # The reload was over some moments before its command was.
            assert time.monotonic() - switched > 2.0
            assert opcode == 8 and int.from_bytes(body[:2], "big") in (1001, 1012)
        with WebSocket(made.port, cookie) as again:
            assert again.echo(b"again") == b"again"


def test_a_stop_cuts_what_takes_longer_than_drain_timeout(made: Installation) -> None:
    made.write("processes: 1\ndrain_timeout: 1s\nrules: [{allow: public}]\n")
    with made.serving(), socket.create_connection(("127.0.0.1", made.port), 20) as client:
        client.sendall(f"GET /slower HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n\r\n".encode())
        time.sleep(0.4)
        began = time.monotonic()
        os.kill(made.pid, signal.SIGTERM)
        answer = client.recv(65_536)
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert made.process is not None and made.process.wait(20) == 0
        assert 0.9 < time.monotonic() - began < 15.0  # the application takes 20 s


def test_a_stop_finishes_what_is_under_way(made: Installation) -> None:
    made.write("processes: 2\ndrain_timeout: 5s\nrules: [{allow: public}]\n")
    with made.serving():
        answers: list[tuple[int, bytes]] = []
        asking = threading.Thread(target=lambda: answers.append(get(made.port, "/slow")))
        asking.start()
        time.sleep(0.4)
        os.kill(made.pid, signal.SIGTERM)
        asking.join(20)
        assert answers == [(200, b"nobody")]
        assert made.process is not None and made.process.wait(20) == 0
    assert '"event": "stopping"' in made.log


def test_reload_says_when_nobody_serves(made: Installation) -> None:
    done = made.run("reload")
    assert done.returncode == 1 and "no `gatekeeper serve` runs" in done.stderr
    # A number that was left behind belongs to somebody else by now: it gets no signal.
    (made.folder / "data/gatekeeper.pid").write_text(f'{os.getpid()}\n[0, ""]\n')
    before = signal.signal(signal.SIGHUP, lambda *_: pytest.fail("a stranger got the signal"))
    try:
        assert made.run("reload").returncode == 1
    finally:
        signal.signal(signal.SIGHUP, before)


def test_two_installations_do_not_share_an_address_unnoticed(made: Installation) -> None:
    with made.serving():
        done = made.run("serve")
    assert done.returncode == 1 and "Address already in use" in done.stderr


def test_a_dry_run_compares_with_what_runs_and_changes_nothing(made: Installation) -> None:
    made.write("processes: 1\nrules: [{path: /x, allow: signed_in}]\n")
    with made.serving():
        kept = made.folder / "data/running.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        cookie, workers = sign_in(made.port), made.workers()
        made.write("processes: 1\nrules: [{path: /x, allow: deny}]\n")
        done = made.run("reload", "--dry-run")
        assert done.returncode == 0, done.stderr
        assert "changed: rules[0] /x" in done.stdout and "lose: GET /x" in done.stdout
        assert made.workers() == workers and get(made.port, "/x", cookie) == (200, b"ada")
        assert made.run("reload").returncode == 0
        assert "Rules: no change." in made.run("reload", "--dry-run").stdout
    assert not kept.exists()
