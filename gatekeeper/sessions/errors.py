"""Errors of the sessions."""

from __future__ import annotations

from gatekeeper.core.errors import GatekeeperError
from gatekeeper.core.session import EndReason


class SessionOver(GatekeeperError):
    """The session (or its account) was over when it should have been started or stepped up."""

    reason = "session_over"

    def __init__(self, ended: EndReason) -> None:
        super().__init__(f"the session is over: {ended.value}")
        self.ended = ended
