"""Does an identity provider know this installation, and can its answers be verified?"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from gatekeeper.doctor.protocol import Finding, fail, ok, warn
from gatekeeper.providers.callback import parse_callback
from gatekeeper.providers.codes import failure_of
from gatekeeper.providers.discovery import Discovery, Metadata
from gatekeeper.providers.fetch import Answer, Fetcher
from gatekeeper.providers.id_token import LEEWAY
from gatekeeper.providers.keys import Keys
from gatekeeper.providers.messages import message_of
from gatekeeper.providers.protocol import Provider, ProviderError

_EXPECTED = ("asks_again", "consent", "mfa_required")
"""What `prompt=none` is answered with when all is well: nobody is signed in."""
_NOTICED = 20.0
_AADSTS = re.compile(rb"AADSTS[0-9]{4,9}(?![0-9])")


class Examined(Provider, Protocol):
    """A provider that lets its parts be looked at."""

    fetcher: Fetcher
    discovery: Discovery
    keys: Keys


class ProviderCheck:
    """Asks for the discovery document, the keys, and a sign-in of nobody (`prompt=none`, OpenID Connect Core
    3.1.2.1), which the provider answers with an error of its own when it does not know us."""

    def __init__(
        self, provider: Examined, *, redirect_uris: Sequence[str], client_id: str, public_url: str
    ) -> None:
        """People come back to one of `redirect_uris`, that of the host where they sign in; never empty."""
        self.name = provider.name
        self._provider = provider
        self._redirect_uris = redirect_uris
        self._words = {
            "client_id": client_id,
            "redirect_uri": redirect_uris[0],
            "public_url": public_url,
            "provider": provider.label,
        }

    async def run(self) -> list[Finding]:
        found = [ok(f"the redirect URI to register is {uri}") for uri in self._redirect_uris]
        try:
            metadata = await self._provider.discovery.metadata()
            found.append(ok(f"its discovery document is in order (issuer {metadata.issuer})"))
            found.extend(self._clock_findings())
            found.append(await self._keys(metadata))
            found += [await self._registration(uri) for uri in self._redirect_uris]
        except ProviderError as error:
            found.append(self._failed(error.code, str(error), error.vendor_code))
        return found

    def _clock_findings(self) -> list[Finding]:
        ahead = self._provider.discovery.clock_ahead
        if ahead is None:
            return []
        if abs(ahead) < _NOTICED:
            return [ok("its clock agrees with this machine's")]
        text = f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
        advice = "set this machine's clock and keep it set (timedatectl set-ntp true, or chrony)"
        return [fail(text, advice) if abs(ahead) > LEEWAY else warn(text, advice)]

    async def _keys(self, metadata: Metadata) -> Finding:
        count = await self._provider.keys.count(metadata.jwks_uri)
        return ok(f"it publishes {count} usable key{'s' if count != 1 else ''}")

    async def _registration(self, redirect_uri: str) -> Finding:
        address = await self._provider.begin(
            state=secrets.token_urlsafe(16),
            nonce=secrets.token_urlsafe(16),
            verifier=secrets.token_urlsafe(32),
            redirect_uri=redirect_uri,
        )
        answer = await self._provider.fetcher.get(_with_no_prompt(address))
        failure, vendor_code = self._complaint(answer, redirect_uri)
        where = f" {redirect_uri}" if len(self._redirect_uris) > 1 else ""
        if failure == "":
            return warn(
                f"its sign-in page answers (status {answer.status}), and does not say whether it knows this "
                "application",
                "sign in once by hand",
            )
        if failure in _EXPECTED:
            return ok(f"it knows the client id and the redirect URI{where}")
        refused = f"it refuses this application{where and ' at'}{where}"
        return self._failed(failure, refused, vendor_code, redirect_uri)

    def _complaint(self, answer: Answer, redirect_uri: str) -> tuple[str, str]:
        """What the authorize endpoint says about us: our code and its own, ("", "") for nothing."""
        location = answer.headers.get("location", "")
        if location.startswith(f"{redirect_uri}?"):
            back = parse_callback(urlsplit(location).query.encode())
            return back.failure or "asks_again", back.vendor_code
        number = _AADSTS.search(answer.body)
        if number is not None:
            return failure_of("", number[0].decode("ascii"))
        return ("provider_error", "") if answer.status >= 400 else ("", "")

    def _failed(self, code: str, text: str, vendor_code: str, redirect_uri: str = "") -> Finding:
        words = self._words | ({"redirect_uri": redirect_uri} if redirect_uri else {})
        advice = message_of(code).operator.format(**words)
        return fail(f"{text}{f' ({vendor_code})' if vendor_code else ''}", advice)


def _with_no_prompt(address: str) -> str:
    parts = urlsplit(address)
    pairs = [(name, value) for name, value in parse_qsl(parts.query) if name != "prompt"]
    return parts._replace(query=urlencode([*pairs, ("prompt", "none")])).geturl()
