"""The process's table of cookies that it has already seen and found good.

Entries are exact tuples of atoms all the way down: Python's garbage collector stops following those, while
as many objects would make it pause for hundreds of milliseconds. A `Session` is built from them at a hit,
and kept only for a moment, for the burst of requests that one page view is.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from gatekeeper.core.session import HeaderList, Session, SessionRecord

Entry = tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...], str, HeaderList, float, bytes, float]
"""(record up to `last_seen_at`, record after it, user, step, headers, when it is over in any case, key, the
idle timeout)"""

HOT = 512
"""Built sessions kept at most, between two looks at the invalidation channel."""

_LAST_SEEN = SessionRecord._fields.index("last_seen_at")


class SessionCache:
    """Cookie value to session, bounded; knows which entries a revocation concerns."""

    def __init__(self, size: int) -> None:
        self.table: dict[bytes, Entry] = {}
        self.seen: dict[bytes, float] = {}
        """Key to the last activity that this process knows of, for the keys in `table`."""
        self.hot: dict[bytes, tuple[Session, float]] = {}
        """Cookie to a session built a moment ago and until when it may answer; emptied every moment."""
        self.generation = 0
        """Moves with every invalidation: what was read before one may not be put in after it."""
        self._size = size
        self._cookies: dict[bytes, tuple[bytes, ...]] = {}
        self._keys_of_user: dict[int, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self.table)

    def __contains__(self, key: bytes) -> bool:
        return key in self._cookies

    def put(self, cookie: bytes, session: Session, over_at: float, idle: float) -> None:
        """Answer `cookie` with `session` until `over_at`, or for `idle` seconds (inf) after activity."""
        record, user = session.record, session.user
        key = record.key
        headers = tuple((bytes(name), bytes(value)) for name, value in session.headers)
        if cookie not in self.table:
            if len(self.table) >= self._size:
                self._make_room()
            cookies = self._cookies.get(key)
            if cookies is None:
                self._cookies[key] = (cookie,)
                self._keys_of_user[user.id] = (*self._keys_of_user.get(user.id, ()), key)
            else:
                self._cookies[key] = (*cookies, cookie)
        before, after = tuple(record)[:_LAST_SEEN], tuple(record)[_LAST_SEEN + 1 :]
        self.table[cookie] = (before, after, tuple(user), session.step, headers, over_at, key, idle)
        self.hot.pop(cookie, None)
        self.seen[key] = max(record.last_seen_at, self.seen.get(key, 0.0))

    def drop_key(self, key: bytes) -> None:
        """Forget a session; `generation` moves even when it was not here, for whoever is reading it now."""
        self.generation += 1
        self._drop(key)

    def drop_user(self, user_id: int) -> None:
        self.generation += 1
        for key in self._keys_of_user.get(user_id, ()):
            self._drop(key)

    def clear(self) -> None:
        self.generation += 1
        for table in (self.table, self.seen, self.hot, self._cookies, self._keys_of_user):
            table.clear()

    def _drop(self, key: bytes) -> None:
        cookies = self._cookies.pop(key, ())
        if not cookies:
            return
        self.seen.pop(key, None)
        user_id = self.table[cookies[0]][2][0]
        for cookie in cookies:
            del self.table[cookie]
            self.hot.pop(cookie, None)
        rest = tuple(other for other in self._keys_of_user[user_id] if other != key)
        if rest:
            self._keys_of_user[user_id] = rest
        else:
            del self._keys_of_user[user_id]

    def _make_room(self) -> None:
        """Drop the eighth that came first: a batch, because a dict is slow at giving up its first key."""
        for entry in list(islice(self.table.values(), max(1, self._size // 8))):
            self._drop(entry[6])
