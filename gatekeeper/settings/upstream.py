"""`upstream`: the applications behind Gatekeeper, where they are found, and how patient we are."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, WrapValidator, model_validator

from gatekeeper.settings.addresses import NO_URL, parse_place, parse_upstream_url
from gatekeeper.settings.authorization import AuthorizationSettings, Word, word_or_section
from gatekeeper.settings.base import FilePath, Misfit, OneOrMany, Section
from gatekeeper.settings.branding import OwnBrandingSettings
from gatekeeper.settings.identity import check_audience
from gatekeeper.settings.rules import Glob, Rule
from gatekeeper.settings.units import duration, size

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")


def _check_name(text: str) -> str:
    if not _NAME.match(text):
        raise ValueError("must be lower-case letters, digits and hyphens, at most 32, such as orders")
    return text


At = Annotated[str, AfterValidator(lambda text: str(parse_place(text)))]


class UpstreamSettings(Section):
    """One application. A bare address stands for a section with only `url`."""

    shorthand: ClassVar[str] = "url"

    name: Annotated[str, AfterValidator(_check_name)] = ""
    """What logs and `explain` call it: lower-case letters, digits and hyphens. Needed where there are
    several."""

    at: Annotated[tuple[At, ...], OneOrMany] = ()
    """Where people find it: a host, a path on the host of public_url, or host/path; one or a list. It has
    everything below; the longest path wins. Left out: the whole host of public_url."""

    url: Annotated[str, AfterValidator(parse_upstream_url)] = ""
    """`http://host:port`, `https://host:port` or `unix:/path.sock`; no path after it. `none` where another
    proxy carries the traffic and asks (forward auth). Left out only where Gatekeeper is a part of the
    application."""

    host: Literal["keep", "rewrite"] = "keep"
    """The Host header the application sees: `keep` the browser's, or `rewrite` it to the host in `url`."""

    ca_file: FilePath | None = None
    """Certificates (PEM) that sign the application's, for https with a private authority."""

    connect_timeout: Annotated[float, duration("100ms", "5m")] = 5.0
    """How long connecting may take, TLS included."""

    response_timeout: Annotated[float, duration("100ms", "1d")] = 60.0
    """How long the application may take to begin its answer."""

    idle_timeout: Annotated[float, duration("1s", "1d")] = 60.0
    """How long a body may stand still between two pieces, in either direction."""

    max_connections: Annotated[StrictInt, Field(ge=1, le=10_000)] = 100
    """Connections to the application at the same time, per process; more requests wait in line. One client
    address gets at most three quarters of them."""

    queue_timeout: Annotated[float, duration("0s", "5m")] = 10.0
    """How long a request waits for a free connection before it is answered 503."""

    websocket_message_max: Annotated[int, size("1KB", "1GB")] = 16_000_000
    """The largest WebSocket message that is passed on."""

    allow_in_path: Annotated[tuple[Literal["%2F", ";", "//"], ...], OneOrMany] = ()
    """What the application needs in paths although it is refused by default: `"%2F"`, `";"`, `"//"`.
    Rules then see every reading of such a path, and the strictest answer wins."""

    case_insensitive: StrictBool = False
    """Whether the application takes /Admin and /admin for the same path; rules then do too."""

    session_script: StrictBool | Literal["top-right", "top-left", "bottom-right", "bottom-left"] = False
    """Put a script into the application's HTML pages: name and menu, warnings before a session ends, sign-out
    in all tabs. Then only what people do counts as activity. A corner says where the menu is, true stands for
    top-right; in pages written from right to left it is the mirrored one."""

    audience: Annotated[str, AfterValidator(check_audience)] = ""
    """Whom assertions for this application name as their reader (`aud`). Left out: its first address in a
    list, else `identity.assertion.audience`."""

    branding: OwnBrandingSettings = OwnBrandingSettings()
    """What differs from the `branding` of the whole configuration on pages that lead to this application."""

    rules: tuple[Rule, ...] = ()
    """Rules for this application alone. They come before those of the whole configuration."""

    authorization: Annotated[Word | AuthorizationSettings, WrapValidator(word_or_section)] = "pass"
    """The Authorization header, for an application with a lock of its own: `pass` the client's on, `drop` it,
    or a section with the value that is sent for signed-in people in its place."""

    logout_paths: Annotated[tuple[Glob, ...], OneOrMany] = ()
    """The application's own sign-out links, as patterns: they lead to Gatekeeper's sign-out, and from there
    to the application's front page."""

    @property
    def forwards(self) -> bool:
        """Whether `url` is an address."""
        return self.url not in ("", NO_URL)

    @property
    def label(self) -> str:
        """What it is called where it may have no name."""
        return self.name or self.url or "the application"

    @model_validator(mode="before")
    @classmethod
    def _bare_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _ca_needs_tls(self) -> UpstreamSettings:
        if self.ca_file is not None and not self.url.startswith("https://"):
            raise Misfit(("ca_file",), "is given, but url does not begin with https://")
        return self
