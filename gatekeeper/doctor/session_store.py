"""The Redis that sessions are in: reachable, able to do what is asked of it, and does it keep what it holds?

Behind Sentinels also those: do they agree on a master, and could another one take over?
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from gatekeeper.core.clock import Clock
from gatekeeper.doctor.protocol import Finding, Level, fail, ok, warn

OLDEST = (6, 2)
"""The first version of Redis that sessions can be kept in."""
APART = 1.0
"""Seconds that clocks may differ."""
SLOW = 0.02
"""Seconds for one question: nearly every request that is not remembered waits for one."""
_NEARLY_FULL = 0.8
_FEWEST_SENTINELS = 3
_PROBE = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)"
_REFUSED = "check session.store_password and the user in session.store"
_DOCS = "docs/scaling.md says what is needed"


class StoreCheck:
    """`client` asks the master, `sentinels` are who names it; neither is connected yet. Closes them all."""

    name = "store"

    def __init__(
        self,
        client: Redis,
        sentinels: Sequence[Redis] = (),
        *,
        service: str = "",
        prefix: str,
        clock: Clock,
        monotonic: Clock = time.monotonic,
    ) -> None:
        """`service` is what Sentinels call the master, `prefix` begins all our keys."""
        self._client: Any = client  # its types do not know which answers are awaited
        self._sentinels: Sequence[Any] = sentinels
        self._service = service
        self._prefix = prefix
        self._clock = clock
        self._monotonic = monotonic

    async def run(self) -> list[Finding]:
        try:
            about = await self._ask_sentinels()
            async with aclosing(self._look()) as found:
                return about + [each async for each in found]
        finally:
            for each in (self._client, *self._sentinels):
                await each.aclose()

    async def _look(self) -> AsyncGenerator[Finding, None]:
        try:
            await self._client.ping()
            began = self._monotonic()
            await self._client.ping()
            took = self._monotonic() - began
            told = await self._client.info("everything")
        except NoPermissionError as error:
            yield fail(f"Redis lets us ask nothing: {_said(error)}", f"allow our user every command; {_DOCS}")
            return
        except (AuthenticationError, ResponseError) as error:
            yield fail(f"Redis does not let us in: {_said(error)}", _REFUSED)
            return
        except (RedisError, OSError) as error:
            yield fail(
                f"Redis cannot be reached: {type(error).__name__}",
                "start it, and see that session.store names it and that nothing on the way stops us",
            )
            return
        text = f"Redis {told['redis_version']} answers in {took * 1000:.1f} ms"
        yield ok(text) if took < SLOW else warn(text, "bring it nearer: requests wait for it")
        for part in (_kind(told), _memory(told)):
            for finding in part:
                yield finding
        yield await self._persistence(told)
        yield await self._write()
        yield await self._time()

    async def _persistence(self, told: dict[str, Any]) -> Finding:
        if told.get("rdb_last_bgsave_status") == "err" or told.get("aof_last_write_status") == "err":
            return fail("it cannot write to its disk, and refuses changes then", "see Redis's own log")
        if told.get("aof_enabled"):
            return ok("it writes down every change (appendonly)")
        try:
            often = (await self._client.config_get("save")).get("save", "")
        except ResponseError:
            return warn(
                "whether it keeps sessions over a restart cannot be seen: CONFIG GET is not allowed",
                "allow CONFIG GET for our user, or see that appendonly or save is set",
            )
        if often:
            return ok(f"it writes itself down at intervals (save {often})")
        return warn("it keeps nothing on disk: a restart signs everybody out", "set appendonly yes, or save")

    async def _write(self) -> Finding:
        """One key that goes by itself after a second, by a script, as everything is written."""
        try:
            await self._client.eval(_PROBE, 1, f"{self._prefix}doctor")
        except (RedisError, OSError) as error:
            return fail(f"it refuses what sign-ins need to write: {_said(error)}", _DOCS)
        return ok("it takes what is written")

    async def _time(self) -> Finding:
        began = self._monotonic()
        seconds, microseconds = await self._client.time()
        took = self._monotonic() - began
        ahead = seconds + microseconds / 1_000_000 - (self._clock() - took / 2)
        if abs(ahead) > APART + took / 2:
            where = "ahead of" if ahead > 0 else "behind"
            return warn(f"its clock is {abs(ahead):.1f} s {where} ours", "set both by NTP (chrony)")
        return ok("its clock is ours")

    async def _ask_sentinels(self) -> list[Finding]:
        if not self._sentinels:
            return []
        said = await asyncio.gather(*(self._ask_sentinel(each) for each in self._sentinels))
        found = [finding for findings in said for finding in findings]
        good = sum(all(each.level != Level.FAIL for each in findings) for findings in said)
        if len(said) < _FEWEST_SENTINELS:
            found.append(
                warn(
                    f"session.store names {len(said)} Sentinels",
                    "run three, on machines of their own: fewer cannot agree when one is lost",
                )
            )
        if 0 < good < len(said):  # one that answers is enough to go on with
            found = [warn(each.text, each.advice) if each.level == Level.FAIL else each for each in found]
        return found

    async def _ask_sentinel(self, sentinel: Any) -> list[Finding]:
        at = sentinel.connection_pool.connection_kwargs
        name = f"Sentinel {at['host']}:{at['port']}"
        try:
            state = await sentinel.sentinel_master(self._service)
            try:
                await sentinel.execute_command("SENTINEL CKQUORUM", self._service)
            except ResponseError as error:
                return [fail(f"{name}: {_said(error)}", "start the Sentinels that are missing")]
        except ResponseError as error:
            return [
                fail(
                    f"{name} knows no master {self._service!r}: {_said(error)}",
                    "end session.store with the name in its `sentinel monitor` line",
                )
            ]
        except (RedisError, OSError) as error:
            return [fail(f"{name} cannot be asked: {type(error).__name__}", "start it, or name another one")]
        if state["is_odown"] or state["is_sdown"]:
            return [fail(f"{name} says that the master is down", "see what happened to it")]
        others, replicas = state["num-other-sentinels"], state["num-slaves"]
        if not replicas:
            return [warn(f"{name} knows no replica: nobody can take over", "add a replica of the master")]
        return [ok(f"{name} sees the master, {others} more Sentinels, replicas: {replicas}")]


def _kind(told: dict[str, Any]) -> Iterator[Finding]:
    version = str(told["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        yield fail(f"Redis {version} is too old", "6.2 or newer is needed")
    if told.get("cluster_enabled"):
        yield fail("it is a Redis Cluster: scripts that work on several keys fail there", _DOCS)
    if told.get("role") != "master":
        yield fail("it is a replica, which takes no writes", "name the master, or Sentinels, who know it")


def _memory(told: dict[str, Any]) -> Iterator[Finding]:
    policy, most = told.get("maxmemory_policy"), int(told.get("maxmemory", 0))
    advice = "set maxmemory-policy noeviction"
    if policy != "noeviction":
        if most:
            yield fail(f"maxmemory-policy is {policy}: sessions end early when memory is short", advice)
        else:
            yield warn(f"maxmemory-policy is {policy}, which counts once maxmemory is set", advice)
    if most and int(told["used_memory"]) > _NEARLY_FULL * most:
        share = 100 * int(told["used_memory"]) // most
        yield warn(f"{share} % of maxmemory is used: nobody can sign in once it is full", "raise maxmemory")


def _said(error: Exception) -> str:
    """The kind of an error, and the word that Redis puts first; the rest may hold what we sent."""
    first = str(error).split(" ", 1)[0]
    return first if first.isupper() and first.isalpha() else type(error).__name__
