"""Which application a request belongs to, by its host and path.

The choice is made on every reading of the path, and stands only when all of them lead to the same
application. The path is then read once more with that application's own leniency: nothing is judged by the
rules of one application and handed to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatekeeper.core.authorization import Authorization
from gatekeeper.core.context import Facts
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.kinds import by_a_person
from gatekeeper.core.policy import Decision, Policy
from gatekeeper.core.protocols import ASGIApp
from gatekeeper.core.session import HeaderList, Session
from gatekeeper.core.target import STRICT, Leniency, read_path


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """One protected application, and how requests to it are judged."""

    policy: Policy
    leniency: Leniency
    request_headers: RequestHeaders
    app: ASGIApp
    name: str = ""
    """"" for the only one."""
    audience: str = ""
    """Whom assertions name as their reader (`aud`)."""
    app_watches: bool = False
    """`app` ends its WebSockets itself when `scope["gatekeeper.watch"]` calls back and reports client frames
    to `scope["gatekeeper.activity"]` (our upstream does; others are wrapped for it)."""
    background_paths: tuple[re.Pattern[str], ...] = ()
    """Requests to them are no activity of a person."""
    scripted: Callable[[], bool] | None = None
    """Whether its pages have the session script now, which reports what people do. Then only what a person
    evidently did counts as activity besides (`core.kinds.by_a_person`). None: they never have it."""

    authorization: Authorization | None = None
    """What becomes of the client's Authorization header; None: it passes."""
    elsewhere: bool = False
    """Its traffic never passes through here: another proxy carries it, and asks."""
    logout_paths: tuple[re.Pattern[str], ...] = ()
    """Its own sign-out links, which lead to ours."""
    front: str = "/"
    """Its front page, percent-encoded."""

    def authorized(
        self,
        headers: Iterable[tuple[bytes, bytes]],
        identity: HeaderList,
        session: Session | None,
        decision: Decision,
    ) -> tuple[Iterable[tuple[bytes, bytes]], HeaderList]:
        """The headers of an allowed request, with what its application is to have as Authorization."""
        if self.authorization is None:
            return headers, identity
        value = self.authorization.value(session, self.policy, decision)
        headers, added = self.authorization.applied(headers, value)
        return headers, (*identity, *added)

    def signs_out(self, readings: tuple[str, ...]) -> bool:
        """Whether a path is one of the application's sign-out links, in whatever reading."""
        paths = self.logout_paths
        return bool(paths) and any(path.fullmatch(reading) for path in paths for reading in readings)

    def counts_as_activity(self, reading: str) -> bool:
        """Whether a request for `reading`, the first of a target's, is a person's doing."""
        paths = self.background_paths
        return not paths or not any(pattern.fullmatch(reading) for pattern in paths)

    def is_activity(self, facts: Facts, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request that goes through the gate is a person's doing."""
        if self.background_paths and not self.counts_as_activity(facts.target.readings[0]):
            return False
        return self.scripted is None or not self.scripted() or by_a_person(facts.kind, headers)


class Place(NamedTuple):
    """Where an application is: everything on `host` at `path` ("/" for all of it) and below."""

    host: str
    """As `core.hosts.normalise_host` gives it."""
    path: str
    """Decoded, without a slash at its end unless it is nothing else."""
    application: Application


class Found(NamedTuple):
    """A path, its readings (see `core.target.Target`), and whose it is; None: nobody's."""

    path: str
    readings: tuple[str, ...]
    application: Application | None


class _Host(NamedTuple):
    only: Application | None
    """The application that has everything here; then nothing is left to choose."""
    leniency: Leniency
    """What any application here accepts."""
    places: tuple[Place, ...]
    """The longest path first."""


_NOBODYS = _Host(None, STRICT, ())


class Applications:
    """All applications of one configuration."""

    def __init__(self, places: Iterable[Place]) -> None:
        """Raises ValueError when two applications have the same place."""
        by_host: dict[str, list[Place]] = {}
        self.places = tuple(places)
        for place in self.places:
            by_host.setdefault(place.host, []).append(place)
        self._hosts = {host: _make_host(those) for host, those in by_host.items()}
        self.all = tuple(dict.fromkeys(place.application for place in self.places))
        """Each once, in the order of their places."""

    def find(self, host: str, raw_path: bytes) -> Found:
        """Whose a path on `host` (normalised) is.

        Raises RequestRejected as `core.target.read_path` does, and 400 `path_application` when the
        applications there would not agree whose it is.
        """
        only, leniency, places = self._hosts.get(host, _NOBODYS)
        if only is not None:
            return Found(*read_path(raw_path, only.leniency), only)
        path, readings = read_path(raw_path, leniency)
        found = _owner(places, readings[0])
        if any(_owner(places, reading) is not found for reading in readings[1:]):
            raise RequestRejected(400, "path_application")
        if found is None:
            return Found(path, readings, None)
        return Found(*read_path(raw_path, found.leniency), found)


def _make_host(places: Sequence[Place]) -> _Host:
    ordered = tuple(sorted(places, key=lambda place: -place.path.count("/") if place.path != "/" else 1))
    for index, place in enumerate(ordered):
        if any(_same(place, other) for other in ordered[:index]):
            raise ValueError(f"two applications at {place.host}{place.path}")
    if len({place.application for place in ordered}) == 1 and ordered[-1].path == "/":
        return _Host(ordered[0].application, STRICT, ordered)
    every = [place.application.leniency for place in ordered]
    union = Leniency(
        encoded_slash=any(one.encoded_slash for one in every),
        semicolon=any(one.semicolon for one in every),
        double_slash=any(one.double_slash for one in every),
        case_insensitive=False,  # each place is compared as its own application does it
    )
    return _Host(None, union, ordered)


def _same(one: Place, other: Place) -> bool:
    fold = one.application.leniency.case_insensitive or other.application.leniency.case_insensitive
    return one.path == other.path or (fold and one.path.casefold() == other.path.casefold())


def _owner(places: Sequence[Place], reading: str) -> Application | None:
    for _, path, application in places:
        folded = application.leniency.case_insensitive
        here, there = (reading.casefold(), path.casefold()) if folded else (reading, path)
        if path == "/" or here == there or here.startswith(there + "/"):
            return application
    return None
