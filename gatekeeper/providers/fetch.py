"""Asking providers: the only home of `httpx.AsyncClient`.

A client lives for one request: no cookie and no connection goes from one person's sign-in to another's.
Proxy variables of the environment and redirects are not followed, compressed answers are not read, and
everything has an end.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx

from gatekeeper.providers.protocol import ProviderError

BUDGET = 5.0
"""Seconds for everything that one page of ours asks of a provider, connecting included."""
MAX_ANSWER = 1_048_576
"""Bytes. Entra's keys are about 20 KB, a token with 200 groups about 15 KB."""
REFRESH = 1.5
"""Seconds for bringing up to date what is known already and good enough otherwise."""
_AT_ONCE = 64


class Answer(NamedTuple):
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def date(self) -> float | None:
        """The provider's clock in seconds since the epoch (RFC 9110 section 6.6.1), when it says so."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (TypeError, ValueError, OverflowError):
            return None

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; `ValueError` (without its content) when it is none."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            raise ValueError("the answer is not JSON") from None
        if not isinstance(found, dict):
            raise ValueError("the answer is not a JSON object")
        return found


class Fetcher:
    """Asks one provider. `ca_file` replaces the system's authorities; certificates are always verified."""

    def __init__(self, *, ca_file: Path | None = None, budget: float = BUDGET) -> None:
        self._tls = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.budget = budget

    async def get(self, url: str, *, bearer: str = "", limit: float | None = None) -> Answer:
        """One GET, in `limit` seconds. Raises `ProviderError` ("unreachable", "provider_busy")."""
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        return await self._ask("GET", url, headers, None, limit)

    async def post_form(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """One POST of a form, never repeated: a code counts once. Raises `ProviderError`."""
        encoded = urlencode(form).encode("ascii")
        return await self._ask(
            "POST", url, {**headers, "content-type": "application/x-www-form-urlencoded"}, encoded
        )

    async def post_json(self, url: str, value: object, *, bearer: str) -> Answer:
        """One POST of JSON. Raises `ProviderError`."""
        headers = {"authorization": f"Bearer {bearer}", "content-type": "application/json"}
        return await self._ask("POST", url, headers, json.dumps(value).encode())

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        limit: float | None = None,
    ) -> Answer:
        place = urlsplit(url).netloc
        sent = {"accept": "application/json", **headers, "accept-encoding": "identity"}
        limit = self.budget if limit is None else limit
        try:
            async with (
                asyncio.timeout(limit),
                self._turns,
                httpx.AsyncClient(
                    verify=self._tls, trust_env=False, follow_redirects=False, timeout=limit
                ) as client,
                client.stream(method, url, headers=sent, content=body) as response,
            ):
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ProviderError("provider_busy", f"{place} answered in an encoding not asked for")
                taken = bytearray()
                async for piece in response.aiter_raw():
                    taken += piece
                    if len(taken) > MAX_ANSWER:
                        raise ProviderError("provider_busy", f"{place} answered more than {MAX_ANSWER} bytes")
                known = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, known, bytes(taken))
        except TimeoutError:
            raise ProviderError("unreachable", f"{place} did not answer in {limit:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderError("unreachable", f"{place}: {_why(error)}") from None


def _why(error: BaseException) -> str:
    """The kind of failure in words that nobody outside chose."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """What is inside has `seconds` in all; then it is a `ProviderError` ("unreachable")."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise ProviderError("unreachable", f"the provider did not finish in {seconds:g} s") from None
