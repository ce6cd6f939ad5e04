"""What a provider publishes about itself, asked for now and then. OpenID Connect Discovery 1.0 section 4."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from gatekeeper.core.clock import Clock
from gatekeeper.providers.addresses import checked_address
from gatekeeper.providers.fetch import REFRESH, Fetcher
from gatekeeper.providers.protocol import ProviderError

FRESH = 3_600.0
"""Seconds until it is asked for again."""
STALE = 86_400.0
"""Seconds for which the last answer is used while the provider does not answer."""
_PAUSE = 60.0
"""Seconds between two attempts to bring it up to date."""


class Metadata(NamedTuple):
    """The part that is used here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    auth_methods: tuple[str, ...] = ("client_secret_basic",)
    """How a client may prove itself at the token endpoint."""
    sends_issuer: bool = False
    """Whether every callback carries `iss` (RFC 9207)."""
    prompts: tuple[str, ...] = ()
    """What may be asked of the person (`prompt_values_supported`); () when it does not say."""
    text: str = ""
    """The whole document, as it came."""


class Discovery:
    """The metadata of one provider, kept for all. `accept_issuer` judges the issuer that it publishes."""

    def __init__(
        self,
        url: str,
        fetcher: Fetcher,
        clock: Clock,
        *,
        accept_issuer: Callable[[str], bool],
        allow_http: bool = False,
    ) -> None:
        self.url = url
        self._fetcher = fetcher
        self._clock = clock
        self._accept_issuer = accept_issuer
        self._allow_http = allow_http
        self._lock = asyncio.Lock()
        self._known: Metadata | None = None
        self.clock_ahead: float | None = None
        """How far the provider's clock was ahead of ours at the last answer, in seconds, when it said so."""
        self._read_at = 0.0
        self._asked_at = 0.0

    @property
    def known(self) -> Metadata | None:
        """What is known without asking."""
        return self._known

    async def metadata(self) -> Metadata:
        """What the provider says. Raises `ProviderError` ("unreachable", "discovery_invalid")."""
        async with self._lock:
            now = self._clock()
            age = now - self._read_at
            if self._known is not None:
                if 0.0 <= age < FRESH:
                    return self._known
                if 0.0 <= age < STALE:
                    return await self._refreshed(self._known, now)
            self._known = await self._ask(None)
            self._read_at = now
            return self._known

    async def _refreshed(self, known: Metadata, now: float) -> Metadata:
        """The newest, or `known` while the provider does not answer."""
        if 0.0 <= now - self._asked_at < _PAUSE:
            return known
        self._asked_at = now
        try:
            self._known = await self._ask(REFRESH)
        except ProviderError as error:
            if error.code == "discovery_invalid":
                raise
            return known
        self._read_at = now
        return self._known

    async def _ask(self, limit: float | None) -> Metadata:
        answer = await self._fetcher.get(self.url, limit=limit)
        self.clock_ahead = answer.date - self._clock() if answer.date is not None else None
        if answer.status >= 500:
            raise ProviderError("unreachable", f"the discovery document was answered {answer.status}")
        if answer.status != 200:
            raise ProviderError("discovery_invalid", f"the discovery document was answered {answer.status}")
        try:
            document = answer.json_object()
            text = answer.body.decode()
        except ValueError as error:
            raise ProviderError("discovery_invalid", f"the discovery document is unusable: {error}") from None
        issuer = document.get("issuer")
        if not isinstance(issuer, str) or not self._accept_issuer(issuer):
            raise ProviderError("discovery_invalid", "the published issuer is not the configured one")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        prompts = document.get("prompt_values_supported")
        return Metadata(
            issuer,
            self._address(document.get("authorization_endpoint"), "authorization_endpoint"),
            self._address(document.get("token_endpoint"), "token_endpoint"),
            self._address(document.get("jwks_uri"), "jwks_uri"),
            self._optional(document.get("userinfo_endpoint"), "userinfo_endpoint"),
            self._optional(document.get("end_session_endpoint"), "end_session_endpoint"),
            _texts(methods),
            document.get("authorization_response_iss_parameter_supported") is True,
            _texts(prompts),
            text,
        )

    def _address(self, url: object, what: str) -> str:
        return checked_address(url, what, allow_http=self._allow_http)

    def _optional(self, url: object, what: str) -> str | None:
        return None if url is None else self._address(url, what)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
