"""Passwords are hashed off the event loop, one at a time, behind a bounded queue."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from gatekeeper.accounts.hashing import Cost, PasswordHasher
from gatekeeper.core.errors import Overloaded, Undecidable

CHEAP = Cost(memory_kib=64, passes=1)
PASSWORD = "four random words work"


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    hasher = PasswordHasher(CHEAP)
    yield hasher
    hasher.close()


def test_a_password_opens_its_own_hash_and_no_other(hasher: PasswordHasher) -> None:
    async def story() -> None:
        encoded = await hasher.hash(PASSWORD)
        assert encoded.startswith("$argon2id$v=19$m=64,t=1,p=1$")
        assert await hasher.verify(encoded, PASSWORD)
        assert not await hasher.verify(encoded, PASSWORD + " ")
        assert await hasher.hash(PASSWORD) != encoded  # salted

    asyncio.run(story())


def test_by_default_the_cost_is_what_owasp_asks() -> None:
    async def story() -> None:
        hasher = PasswordHasher()
        encoded = await hasher.hash(PASSWORD)
        hasher.close()
        assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")

    asyncio.run(story())


def test_no_password_opens_the_dummy(hasher: PasswordHasher) -> None:
    async def story() -> None:
        for password in ("", PASSWORD, "dummy", "\x00"):
            assert not await hasher.verify(None, password)

    asyncio.run(story())


def test_the_dummy_costs_what_a_real_hash_costs() -> None:
    import argon2

    async def story() -> None:
        hasher = PasswordHasher()
        real = argon2.extract_parameters(await hasher.hash(PASSWORD))
        hasher.close()
        assert argon2.extract_parameters(hasher._dummy) == real

    asyncio.run(story())


@pytest.mark.parametrize("typed", ["stra\u00dfe caf\u00e9 \u00e5", "stra\u00dfe cafe\u0301 \u212b"])
def test_the_same_characters_are_the_same_password_however_composed(
    hasher: PasswordHasher, typed: str
) -> None:
    async def story() -> None:
        encoded = await hasher.hash("stra\u00dfe caf\u00e9 \u00c5")
        assert await hasher.verify(encoded, typed) == ("\u212b" in typed)  # å is another letter than Å

    asyncio.run(story())


def test_text_that_is_no_unicode_is_a_wrong_password_not_an_error(hasher: PasswordHasher) -> None:
    async def story() -> None:
        encoded = await hasher.hash(PASSWORD)
        assert not await hasher.verify(encoded, "\ud800")

    asyncio.run(story())


def test_another_cost_asks_for_a_rehash(hasher: PasswordHasher) -> None:
    async def story() -> None:
        encoded = await hasher.hash(PASSWORD)
        assert not hasher.needs_rehash(encoded)
        dearer = PasswordHasher(Cost(memory_kib=128, passes=1))
        assert dearer.needs_rehash(encoded)
        assert await dearer.verify(encoded, PASSWORD)
        dearer.close()

    asyncio.run(story())


def test_a_damaged_hash_is_known_before_it_is_tried(hasher: PasswordHasher) -> None:
    async def story() -> None:
        assert hasher.readable(await hasher.hash(PASSWORD))
        assert not hasher.readable("{SHA}nonsense")
        with pytest.raises(Undecidable):
            await hasher.verify("{SHA}nonsense", PASSWORD)

    asyncio.run(story())


def test_a_full_queue_refuses_and_then_takes_work_again() -> None:
    async def story() -> None:
        hasher = PasswordHasher(CHEAP, queue=2)
        gate = threading.Event()
        waiting = [asyncio.ensure_future(hasher.run(gate.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await hasher.verify(None, PASSWORD)
        assert refused.value.reason == "hashing_queue_full"
        assert refused.value.retry_after >= 1
        gate.set()
        await asyncio.gather(*waiting)
        assert not await hasher.verify(None, PASSWORD)
        hasher.close()

    asyncio.run(story())


def test_a_waiter_who_went_away_frees_its_place_in_the_queue() -> None:
    async def story() -> None:
        hasher = PasswordHasher(CHEAP, queue=2)
        gate = threading.Event()
        busy = asyncio.ensure_future(hasher.run(gate.wait, 10))
        gone = asyncio.ensure_future(hasher.verify(None, PASSWORD))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        next_one = asyncio.ensure_future(hasher.verify(None, PASSWORD))
        await asyncio.sleep(0)
        gate.set()
        assert await busy
        assert not await next_one
        hasher.close()

    asyncio.run(story())


def test_the_event_loop_turns_while_a_password_is_hashed() -> None:
    async def story() -> None:
        hasher = PasswordHasher(Cost(memory_kib=64 * 1024, passes=6))
        hashing = asyncio.ensure_future(hasher.hash(PASSWORD))
        turns = 0
        while not hashing.done():
            turns += 1
            await asyncio.sleep(0.001)
        hasher.close()
        assert turns > 10

    asyncio.run(story())


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of a thread is Linux's own")
def test_hashing_gives_way_to_everything_else(hasher: PasswordHasher) -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = priority()
    assert asyncio.run(hasher.run(priority)) == min(10, 19)
    assert priority() == before


def test_one_thread_does_all_the_work(hasher: PasswordHasher) -> None:
    async def story() -> None:
        names = await asyncio.gather(*(hasher.run(threading.get_native_id) for _ in range(20)))
        assert len(set(names)) == 1

    asyncio.run(story())


def test_after_closing_nothing_is_taken() -> None:
    async def story() -> None:
        hasher = PasswordHasher(CHEAP, queue=1)
        hasher.close()
        for _ in range(2):  # and no place is lost
            with pytest.raises(Undecidable) as refused:
                await hasher.hash(PASSWORD)
            assert refused.value.reason == "stopping"

    started = time.monotonic()
    asyncio.run(story())
    assert time.monotonic() - started < 5


def test_a_password_is_hashed_while_another_is_judged() -> None:
    async def story() -> None:
        hasher, gate = PasswordHasher(CHEAP), threading.Event()
        judging = asyncio.ensure_future(hasher.judge(gate.wait, 10))
        await hasher.hash("four random words")  # would wait until the gate opens
        assert not judging.done()
        gate.set()
        assert await judging
        hasher.close()

    asyncio.run(story())
