"""What MSAL takes for an HTTP client: it asks by our `Fetcher`, one answer for one sign-in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from gatekeeper.providers.discovery import Metadata
from gatekeeper.providers.fetch import Fetcher
from gatekeeper.providers.protocol import ProviderError


class Reply:
    """As much of an HTTP response as MSAL looks at."""

    def __init__(self, status_code: int, text: str, headers: Mapping[str, str]) -> None:
        self.status_code = status_code
        self.text = text
        self.headers = dict(headers)

    def raise_for_status(self) -> None:
        """What failed was raised before MSAL saw it, except refusals, which it reads itself."""


class Wire:
    """Runs in MSAL's thread; what it fetches is fetched in the event loop, and cancelled there.

    Only the discovery document, which is known already, and the token endpoint can be asked. `origin` is sent
    as the header of a browser would be, when it is not "".
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        fetcher: Fetcher,
        metadata: Metadata,
        discovery_url: str,
        *,
        origin: str = "",
    ) -> None:
        self._loop = loop
        self._fetcher = fetcher
        self._metadata = metadata
        self._discovery_url = discovery_url
        self._origin = origin
        self.date: float | None = None
        """The clock of the token endpoint, in seconds since the epoch, when it answered and said so."""

    def get(self, url: str, **_options: Any) -> Reply:
        """MSAL reads the endpoints in the document that we read and checked."""
        if url != self._discovery_url:
            raise ProviderError(
                "discovery_invalid", "MSAL asks for another address than the discovery document"
            )
        return Reply(200, self._metadata.text, {})

    def post(
        self,
        url: str,
        *,
        data: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_options: Any,
    ) -> Reply:
        """The exchange of the code. Raises `ProviderError` when the answer is no answer."""
        if url != self._metadata.token_endpoint:
            raise ProviderError("discovery_invalid", "MSAL asks for another address than the token endpoint")
        sent = dict(headers or {})
        if self._origin:
            sent["origin"] = self._origin
        asked = asyncio.run_coroutine_threadsafe(
            self._fetcher.post_form(url, dict(data or {}), sent), self._loop
        )
        try:
            answer = asked.result(self._fetcher.budget + 1.0)
        except TimeoutError:
            asked.cancel()
            raise ProviderError("unreachable", "the token endpoint did not answer") from None
        self.date = answer.date
        if answer.status >= 500 or answer.status == 429:
            raise ProviderError("provider_busy", f"the token endpoint answered {answer.status}")
        try:
            answer.json_object()
            text = answer.body.decode()
        except ValueError as error:
            raise ProviderError("token_invalid", f"the token endpoint: {error}") from None
        return Reply(answer.status, text, answer.headers)

    def close(self) -> None:
        """Nothing is open between two questions."""
