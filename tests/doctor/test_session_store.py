"""The Redis of the sessions: what an operator reads before and after something is wrong with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.build.sessions import make_store_check
from gatekeeper.core.clock import Clock
from gatekeeper.doctor.protocol import Finding, Level
from gatekeeper.settings import make_settings
from tests.doctor.support import run, texts
from tests.servers.faults import fault_proxy
from tests.servers.process import free_port
from tests.servers.redis import PASSWORD, RedisServer, redis_server, sentinels

SECRET = "a secret that every node has in common"


def look(store: str, password: str = PASSWORD, *, clock: Clock = time.time) -> list[Finding]:
    settings = make_settings(
        {
            "public_url": "http://127.0.0.1:8080",
            "upstream": "http://127.0.0.1:3000",
            "secret": SECRET,
            "session": {"store": store, "store_password": password},
        },
    )
    return run(make_store_check(settings, clock=clock))


def address(port: int | None = None) -> str:
    return f"redis://127.0.0.1:{redis_server().port if port is None else port}/0"


@contextlib.contextmanager
def server(*options: str) -> Iterator[RedisServer]:
    started = RedisServer(*options)
    try:
        yield started
    finally:
        started.close()


def test_one_that_keeps_what_it_is_told_is_fine_and_nothing_of_ours_stays_there() -> None:
    with server("--appendonly", "yes") as redis:
        found = look(address(redis.port))
        assert {each.level for each in found} == {Level.OK}, texts(found)
        assert "Redis 7" in found[0].text and "appendonly" in texts(found)
        with redis.client() as direct:
            assert all(0 < direct.pttl(key) <= 1_000 for key in direct.scan_iter())


def test_one_that_forgets_or_throws_away_is_told_of() -> None:
    with server("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as redis:
        found = look(address(redis.port))
        (policy,) = [each for each in found if "maxmemory-policy" in each.text]
        assert policy.level == "fail" and policy.advice == "set maxmemory-policy noeviction"
        (disk,) = [each for each in found if "on disk" in each.text]
        assert disk.level == "warn"
        with redis.client() as direct:
            direct.config_set("maxmemory", "0")
            direct.config_set("save", "3600 1")
        found = look(address(redis.port))
        assert [each.level for each in found if "maxmemory-policy" in each.text] == ["warn"]
        assert "save 3600 1" in texts(found)


def test_one_that_is_full_takes_no_sign_in() -> None:
    with server() as redis:
        with redis.client() as direct:
            used = direct.info("memory")["used_memory"]
            direct.config_set("maxmemory", used - 10_000)
        found = look(address(redis.port))
        assert any(each.level == "warn" and "% of maxmemory" in each.text for each in found)
        assert any(each.level == "fail" and "OutOfMemory" in each.text for each in found)


@pytest.mark.parametrize("password", ["canary wrong", ""])
def test_a_wrong_password_or_none_is_said_without_saying_it(password: str) -> None:
    if not password:
        with server() as redis:
            (refused,) = look(address(redis.port), "")
    else:
        (refused,) = look(address(), password)
    assert refused.level == "fail" and "does not let us in" in refused.text
    assert "store_password" in refused.advice
    assert "canary" not in refused.text + refused.advice


def test_one_that_is_not_there_or_does_not_answer() -> None:
    (gone,) = look(address(free_port()))
    assert gone.level == "fail" and "cannot be reached" in gone.text
    with fault_proxy(redis_server().port) as proxy:
        proxy.stall()
        began = time.monotonic()
        (silent,) = look(address(proxy.port))
        assert silent.level == "fail" and "Timeout" in silent.text
        assert time.monotonic() - began < 10.0


def test_a_user_who_may_not_do_everything() -> None:
    with server("--appendonly", "no") as redis:
        with redis.client() as direct:
            direct.acl_setuser(
                "gk",
                enabled=True,
                passwords=["+" + PASSWORD],
                keys=["gatekeeper:*"],
                commands=["+@all", "-config", "-eval"],
            )
        found = look(f"redis://gk@127.0.0.1:{redis.port}/0")
        assert any(each.level == "warn" and "CONFIG GET is not allowed" in each.text for each in found)
        assert any(each.level == "fail" and "refuses" in each.text for each in found)
        with redis.client() as direct:
            direct.acl_setuser("gk", enabled=True, commands=["-info"])
        (nothing,) = look(f"redis://gk@127.0.0.1:{redis.port}/0")
        assert nothing.level == "fail" and "ask nothing" in nothing.text


def test_another_clock() -> None:
    found = look(address(), clock=lambda: time.time() - 90.0)
    assert any(each.level == "warn" and "90.0 s ahead of ours" in each.text for each in found)


def test_a_replica_named_as_the_master() -> None:
    with server("--replicaof", f"127.0.0.1 {redis_server().port}", "--masterauth", PASSWORD) as replica:
        found = look(address(replica.port))
        assert any(each.level == "fail" and "is a replica" in each.text for each in found)
        assert any(each.level == "fail" and "refuses" in each.text for each in found)


def test_sentinels_are_asked_whether_another_master_could_be_made(tmp_path: Path) -> None:
    with server("--masterauth", PASSWORD) as master, sentinels(tmp_path, master.port) as ports:
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        alone = until(places, "knows no replica")
        assert {each.level for each in alone if "Sentinel" in each.text} == {"warn"}
        (unknown, *_) = look(f"redis+sentinel://{places}/other")
        assert unknown.level == "fail" and "knows no master 'other'" in unknown.text

        replication = ("--replicaof", f"127.0.0.1 {master.port}", "--masterauth", PASSWORD)
        with server(*replication):
            found = until(places, "replicas: 1")
            assert [each.level for each in found if "Sentinel" in each.text] == ["ok"] * 3, texts(found)
            two = look(f"redis+sentinel://127.0.0.1:{ports[0]},127.0.0.1:{free_port()}/sessions")
            assert [each.level for each in two[:3]] == ["ok", "warn", "warn"]
            assert "cannot be asked" in two[1].text and "names 2 Sentinels" in two[2].text


def until(places: str, text: str) -> list[Finding]:
    """Sentinels find each other, and replicas, after some seconds."""
    deadline = time.monotonic() + 30.0
    while True:
        found = look(f"redis+sentinel://{places}/sessions")
        if sum(text in each.text for each in found) == 3:
            return found
        assert time.monotonic() < deadline, texts(found)
        time.sleep(0.2)
