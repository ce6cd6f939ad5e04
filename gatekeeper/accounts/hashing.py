"""argon2id off the event loop: one niced worker thread behind a bounded queue; another judges new passwords.

Hashing costs about 20 ms of CPU. On the loop it would delay every request under way; in many threads it
would take the machine. OWASP Password Storage Cheat Sheet: 19 MiB, t=2, p=1. ASVS 5.0 V11.4.2.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

import argon2
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError

from gatekeeper.core.errors import Overloaded, Undecidable

P = ParamSpec("P")
T = TypeVar("T")

_NICENESS = 10
_SALT_BYTES = 16
_DIGEST_BYTES = 32


class Cost(NamedTuple):
    """What one hash costs: memory in KiB, passes over it, lanes."""

    memory_kib: int = 19 * 1024
    passes: int = 2
    lanes: int = 1


class PasswordHasher:
    """Makes and checks password hashes, one at a time.

    At most `queue` pieces of work are waiting or under way; the next one is refused with `Overloaded`
    before anything is known about the account, so that the refusal tells nothing.
    """

    def __init__(self, cost: Cost = Cost(), *, queue: int = 64) -> None:  # noqa: B008 - immutable
        self._argon2 = argon2.PasswordHasher(
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=_DIGEST_BYTES,
            salt_len=_SALT_BYTES,
            type=argon2.Type.ID,
        )
        self._dummy = _unmatchable(cost)
        self._hashing = _Line("argon2", queue)
        self._judging = _Line("password-rules", queue)

    async def hash(self, password: str) -> str:
        """The encoded hash (PHC string). Raises `Overloaded`; `Undecidable` when memory ran out."""
        return await self.run(self._hash, password)

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether `password` made `encoded`; None costs the same and is never true.

        Raises `Overloaded`, `Undecidable`.
        """
        return await self.run(self._verify, encoded or self._dummy, password)

    def readable(self, encoded: str) -> bool:
        """Whether `encoded` is a hash that can be verified at all."""
        try:
            argon2.extract_parameters(encoded)
        except InvalidHashError:
            return False
        return True

    def needs_rehash(self, encoded: str) -> bool:
        """Whether `encoded` was made at another cost than today's."""
        return self._argon2.check_needs_rehash(encoded)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` in the worker thread. Raises `Overloaded` when the queue is full."""
        return await self._hashing.run(work, *args, **kwargs)

    async def judge(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Judge a new password in a thread of its own, so that no sign-in waits for it.

        One at a time. Raises `Overloaded` when too many wait.
        """
        return await self._judging.run(work, *args, **kwargs)

    def _hash(self, password: str) -> str:
        try:
            return self._argon2.hash(_stable(password))
        except HashingError as error:
            raise Undecidable(str(error), reason="hashing_failed") from error

    def _verify(self, encoded: str, password: str) -> bool:
        try:
            return self._argon2.verify(encoded, _stable(password))
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError) as error:
            raise Undecidable(str(error), reason="hashing_failed") from error

    def close(self) -> None:
        """Finish the pieces under way, drop what waits, and stop the threads."""
        self._hashing.close()
        self._judging.close()


class _Line:
    """One niced thread, and a bounded number of pieces of work in line for it."""

    def __init__(self, name: str, places: int) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=_be_nice)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self._places.acquire(blocking=False):
            raise Overloaded("the password hashing queue is full", reason="hashing_queue_full")
        try:
            future = self._worker.submit(work, *args, **kwargs)
        except RuntimeError as error:  # the thread was stopped
            self._places.release()
            raise Undecidable("password hashing was stopped", reason="stopping") from error
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[T]) -> None:
        # Runs when the work is done and also when its waiter was cancelled before it began.
        self._places.release()

    def close(self) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)


def _stable(password: str) -> bytes:
    """The same bytes for the same characters, however a keyboard composed them.

    NIST SP 800-63B-4 section 3.1.1.2: NFKC before hashing.
    """
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def _unmatchable(cost: Cost) -> str:
    """A hash of the given cost that no password has: its digest is random."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode("ascii").rstrip("=")
        for size in (_SALT_BYTES, _DIGEST_BYTES)
    )
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt}${digest}"


def _be_nice() -> None:
    """Lower this thread's priority: on Linux, niceness belongs to the thread, see setpriority(2)."""
    if sys.platform == "linux":
        # A container may forbid the call; hashing then competes as an equal.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
