"""Redis fails, and another one takes over without the last writes: nobody who was signed out is let in."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as blocking

from gatekeeper.core.errors import StoreUnavailable
from gatekeeper.core.session import EndReason, SessionRecord
from gatekeeper.sessions.redis_client import make_client
from gatekeeper.sessions.redis_store import RedisSessionStore
from gatekeeper.storage.revocations import revoke_user
from tests.servers.faults import fault_proxy
from tests.servers.redis import PASSWORD, RedisServer, redis_server, sentinels
from tests.sessions.support import START, TIMEOUTS, World, play, record


@contextlib.contextmanager
def servers(*options: tuple[str, ...]) -> Iterator[list[RedisServer]]:
    started: list[RedisServer] = []
    try:
        started.extend(RedisServer(*each) for each in options)
        yield started
    finally:
        for server in started:
            server.close()


def eventually_now(condition: object, *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_ended_is_not_alive_on_a_replica_that_never_heard_of_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        user = await world.add_user()
        with servers(()) as (master,), fault_proxy(master.port) as link:
            replication = ("--replicaof", f"127.0.0.1 {link.port}", "--masterauth", PASSWORD)
            with servers(replication) as (replica,), fault_proxy(master.port) as place:
                db = await world.database()
                client = make_client(f"redis://127.0.0.1:{place.port}/0", PASSWORD)
                store = RedisSessionStore(client, db, TIMEOUTS)
                out, stepped, kept, other = (record(number, user_id=user) for number in (1, 2, 3, 4))
                for each in (out, kept, other):
                    await store.create(each)
                await store.replace(out.key, stepped, grace_until=START + 10)
                with replica.client() as far, master.client() as near:
                    eventually_now(lambda: far.dbsize() == near.dbsize())
                    link.stall()
                    assert await store.end(stepped.key, EndReason.SIGNED_OUT, START + 1)
                    assert await store.end_user(user, EndReason.REVOKED, START + 2, keep=kept.key) == 1
                    far.replicaof("NO", "ONE")
                place.target = replica.port
                place.cut()
                assert await store.get(stepped.key) is EndReason.SIGNED_OUT
                assert await store.get(out.key) is EndReason.SIGNED_OUT
                # The others are known by their epoch, which is the account's; the kept one has the new one.
                found = await store.get(other.key)
                assert isinstance(found, SessionRecord) and found.epoch == 0
                assert await store.get(kept.key) == kept._replace(epoch=1)
                await store.aclose()

    play(tmp_path, story)


def test_the_session_that_changed_the_password_goes_on(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        user = await world.add_user()
        db = await world.database()
        client = make_client(f"redis://127.0.0.1:{redis_server().port}/0", PASSWORD)
        store = RedisSessionStore(client, db, TIMEOUTS, prefix=f"{tmp_path}:")
        kept, other = record(1, user_id=user), record(2, user_id=user)
        for each in (kept, other):
            await store.create(each)
        async with db.begin() as conn:  # as accounts do it, which know no session store
            await revoke_user(conn, user, START, keep=[kept.key])
        assert await store.get(kept.key) == kept._replace(epoch=1)
        assert await store.get(other.key) == other
        await store.aclose()

    play(tmp_path, story)


def test_a_redis_that_does_not_answer_costs_two_seconds_and_heals_by_itself(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with fault_proxy(redis_server().port) as proxy:
            client = make_client(f"redis://127.0.0.1:{proxy.port}/0", PASSWORD)
            store = RedisSessionStore(client, await world.database(), TIMEOUTS, prefix=f"{tmp_path}:")
            await store.create(record(1))
            for fault in (proxy.stall, proxy.refuse):
                fault()
                began = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    await store.get(record(1).key)
                assert time.monotonic() - began < 2.5
                proxy.resume()
                proxy.cut()
                await asyncio.sleep(0.05)
                assert await store.get(record(1).key) == record(1)
            await store.aclose()

    play(tmp_path, story)


def test_records_of_other_versions_are_read_and_left_as_they_are(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        client = make_client(f"redis://127.0.0.1:{redis_server().port}/0", PASSWORD)
        store = RedisSessionStore(client, await world.database(), TIMEOUTS, prefix=f"{tmp_path}:")
        await store.create(record(1))
        name = f"{tmp_path}:s:{record(1).key.hex()}"
        with redis_server().client() as direct:
            direct.hset(name, "of_a_newer_version", "7")
            direct.hdel(name, "skipped", "tab_seen_at")
            assert await store.get(record(1).key) == record(1)
            await store.touch([(record(1).key, START + 5)])
            await store.see_tabs([(record(1).key, START + 6)])
            assert await store.get(record(1).key) == record(1, last_seen_at=START + 5, tab_seen_at=START + 6)
            assert direct.hget(name, "of_a_newer_version") == b"7"
            # And it is forgotten by Redis itself: after its longest life and a day.
            assert 0 < direct.pttl(name) <= (TIMEOUTS.absolute + 86_400.0) * 1000
        await store.aclose()

    play(tmp_path, story)


def test_when_the_master_dies_sentinel_names_another_and_sessions_go_on(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with servers(("--masterauth", PASSWORD)) as (master,):
            replication = ("--replicaof", f"127.0.0.1 {master.port}", "--masterauth", PASSWORD)
            with servers(replication) as (replica,), sentinels(tmp_path, master.port) as ports:
                places = ",".join(f"127.0.0.1:{port}" for port in ports)
                client = make_client(f"redis+sentinel://{places}/sessions?db=0", PASSWORD)
                store = RedisSessionStore(client, await world.database(), TIMEOUTS)
                await store.create(record(1))
                await store.create(record(2))
                await store.end(record(2).key, EndReason.SIGNED_OUT, START)

                def known() -> bool:
                    with blocking.Redis(port=ports[0], decode_responses=True) as sentinel:
                        state = sentinel.sentinel_master("sessions")
                        return bool(state["num-slaves"] == 1 and state["num-other-sentinels"] == 2)

                eventually_now(known)
                with replica.client() as far, master.client() as near:
                    eventually_now(lambda: far.dbsize() == near.dbsize())
                master.server.kill()
                began = time.monotonic()
                while True:
                    try:
                        found = await store.get(record(1).key)
                        break
                    except StoreUnavailable:
                        assert time.monotonic() - began < 30.0, "Sentinel was not followed"
                        await asyncio.sleep(0.1)
                assert found == record(1)
                assert await store.get(record(2).key) is EndReason.SIGNED_OUT
                while True:
                    try:
                        await store.create(record(3))
                        break
                    except StoreUnavailable:
                        assert time.monotonic() - began < 30.0
                        await asyncio.sleep(0.1)
                assert await store.get(record(3).key) == record(3)
                await store.aclose()

    play(tmp_path, story)
