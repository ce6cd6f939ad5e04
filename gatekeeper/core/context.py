"""The one typed value that a request carries: `scope["gatekeeper"]`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gatekeeper.core.protocols import PostedForm
    from gatekeeper.core.session import EndReason, Session
    from gatekeeper.core.target import Target


class Kind(IntEnum):
    """Who is waiting for the answer: decides between a redirect and a 401."""

    NAVIGATION = 1
    BACKGROUND = 2
    WEBSOCKET = 3


class Facts(NamedTuple):
    """A request read once. `decide` looks at nothing else."""

    method: str
    scheme: str
    """As the person's browser sees it: "http" or "https"."""
    host: str
    """Lower case, without a trailing dot, with the port when it is not the scheme's own."""
    target: Target
    client: str
    """The client's address, believed only through trusted proxies; "" when unknown (unix socket)."""
    kind: Kind


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the gate wants the pages to show a person instead of the application."""

    status: int
    reason: str
    """A stable code: "forbidden", "bad_request", "upstream_unreachable", "store_unavailable", …"""
    retry_after: int | None = None


@dataclass(slots=True)
class RequestContext:
    """`scope["gatekeeper"]`: made by the gate, read by pages, upstream and the protected application."""

    request_id: str
    facts: Facts | None
    """None only when the target could not be read (then `refusal` is set)."""
    session: Session | None = None
    """Live, but perhaps half finished: ask `session.complete`."""
    ended: EndReason | None = None
    """Why the session that the browser still holds is over."""
    refusal: Refusal | None = None
    trouble: Exception | None = None
    """What kept a form from being answered as it should, though the page was rendered."""
    cookie: bytes | None = None
    """The value of our session cookie, as it was sent."""
    resent: PostedForm | None = None
    """The kept form that this request was exchanged for."""
    sign_out: str | None = None
    """The application's page to go to, when one of its own forms signs the person out."""
    set_cookies: tuple[bytes, ...] = ()
    """Set-Cookie values that the gate adds to whatever answer follows."""
