"""Who wants to hear when a session is revoked: WebSockets and long answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count

Watcher = Callable[[], None]


class Watchers:
    """Callbacks by session and by user; each is called at most once."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._by_key: dict[bytes, dict[int, Watcher]] = {}
        self._users: dict[int, set[bytes]] = {}
        self._user_of: dict[bytes, int] = {}
        self._tickets = count()

    def __contains__(self, key: bytes) -> bool:
        return key in self._by_key

    def add(self, key: bytes, user_id: int, watcher: Watcher) -> Callable[[], None]:
        ticket = next(self._tickets)
        watchers = self._by_key.get(key)
        if watchers is None:
            watchers = self._by_key[key] = {}
            self._users.setdefault(user_id, set()).add(key)
            self._user_of[key] = user_id
        watchers[ticket] = watcher

        def stop() -> None:
            # The table may be another one by now, when the session ended and its key was watched again.
            if watchers.pop(ticket, None) is not None and not watchers and self._by_key.get(key) is watchers:
                self._forget(key)

        return stop

    def keys(self) -> list[bytes]:
        return list(self._by_key)

    def keys_of_user(self, user_id: int) -> list[bytes]:
        return list(self._users.get(user_id, ()))

    def fire(self, keys: Iterable[bytes]) -> None:
        """Call and forget the watchers of `keys`; one that fails is reported and keeps no other from it."""
        for key in keys:
            watchers = self._by_key.get(key)
            if watchers is None:
                continue
            self._forget(key)
            called = list(watchers.values())
            watchers.clear()
            for watcher in called:
                try:
                    watcher()
                except Exception as error:
                    self._on_error(error)

    def _forget(self, key: bytes) -> None:
        del self._by_key[key]
        user_id = self._user_of.pop(key)
        keys = self._users[user_id]
        keys.discard(key)
        if not keys:
            del self._users[user_id]
