"""Answers to proxies, kept for the burst of questions that one page view is."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.core.applications import Application
from gatekeeper.core.session import Session
from gatekeeper.gate.config import REMEMBERED

MADE_MAX = 512
MADE_SECONDS = 1.0
"""What an assertion says of the session's end, and how fresh it is, may be behind by this."""


class _Made(NamedTuple):
    session: Session
    application: Application
    cookies: bytes
    lines: bytes
    until: float


class MadeLines:
    """Header lines by session cookie. A session that changed in any way is another object: it finds none."""

    def __init__(self) -> None:
        self._made: dict[bytes, _Made] = {}

    def __len__(self) -> int:
        return len(self._made)

    def find(
        self, cookie: bytes, session: Session, application: Application, cookies: bytes, now: float
    ) -> bytes | None:
        """The lines made for the same session, application and Cookie header less than MADE_SECONDS ago."""
        made = self._made.get(cookie)
        if (
            made is not None
            and made.session is session
            and made.application is application
            and made.cookies == cookies
            and now < made.until
        ):
            return made.lines
        return None

    def keep(
        self,
        cookie: bytes,
        session: Session,
        application: Application,
        cookies: bytes,
        now: float,
        lines: bytes,
    ) -> None:
        if len(cookies) > REMEMBERED:
            return
        if len(self._made) >= MADE_MAX:
            self._made.clear()
        self._made[cookie] = _Made(session, application, cookies, lines, now + MADE_SECONDS)
