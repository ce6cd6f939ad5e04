"""What the session script's endpoints are given of the sessions."""

from __future__ import annotations

from typing import Protocol

from gatekeeper.core.session import Session


class Deadlines(Protocol):
    """`sessions.tabs.Deadlines`."""

    @property
    def idle(self) -> float | None: ...

    @property
    def absolute(self) -> float: ...


class Tabs(Protocol):
    """`sessions.tabs.Tabs`: what the session script tells of open tabs."""

    def opened(self, session: Session, now: float) -> None: ...

    def seen(self, session: Session, now: float) -> None: ...

    async def closed(self, session: Session, now: float) -> None: ...

    def deadlines(self, session: Session) -> Deadlines: ...
