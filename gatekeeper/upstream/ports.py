"""What a connection to the application calls: the exchange it carries, and the pool it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gatekeeper.core.errors import UpstreamFailure
from gatekeeper.upstream.framing import ResponseHead

if TYPE_CHECKING:
    from gatekeeper.upstream.connection import UpstreamConnection


class ExchangeSink(Protocol):
    """What an exchange hears. After `on_complete` or `on_failure` it hears nothing more."""

    def on_continue(self) -> None:
        """100 (Continue): the application wants the body."""

    def on_head(self, head: ResponseHead) -> None: ...

    def on_body(self, data: bytes) -> None: ...

    def on_complete(self) -> None: ...

    def on_failure(self, error: UpstreamFailure) -> None: ...

    def pause_request(self) -> None:
        """The application reads too slowly: send no more until `resume_request`."""

    def resume_request(self) -> None: ...


class ConnectionOwner(Protocol):
    """Who lends connections out. Told once when one comes back, once when one is gone."""

    def released(self, connection: UpstreamConnection) -> None: ...

    def retired(self, connection: UpstreamConnection) -> None: ...
