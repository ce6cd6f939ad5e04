"""The keys that a provider signs with, kept for all, and asked for anew when one is unknown. RFC 7517."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from gatekeeper.core.clock import Clock
from gatekeeper.providers.fetch import REFRESH, Fetcher
from gatekeeper.providers.protocol import ProviderError

FRESH = 6 * 3_600.0
"""Seconds after which withdrawn keys are no longer believed, as long as the provider answers."""
STALE = 86_400.0
"""The same while it does not answer."""
PAUSE = 30.0
"""Seconds between two questions because of unknown key ids, so that forged tokens do not become a flood."""
MAX_KEYS = 100
_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
"""The public ones of the kinds that are used; whatever else a key carries is left out."""


class Key(NamedTuple):
    """One public key. `algorithm` is "" when the provider does not bind it to one."""

    kid: str
    algorithm: str
    jwk: Mapping[str, str]
    issuer: str = ""
    """Whose tokens alone it signs, which Entra ID says of each, with {tenantid} for any tenant."""


class Keys:
    """The keys at one `jwks_uri`."""

    def __init__(self, fetcher: Fetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: list[Key] = []
        self._from = ""
        self._read_at = 0.0
        self._asked_at = 0.0

    async def find(self, uri: str, kid: str | None) -> Key | None:
        """The key called `kid`; without a name, the only one that there is. None when there is none.

        Raises `ProviderError` ("unreachable", "discovery_invalid") when there are none to be had.
        """
        async with self._lock:
            if self._from != uri:
                self._keys, self._from, self._read_at, self._asked_at = [], uri, 0.0, 0.0
            now = self._clock()
            age = now - self._read_at
            if not self._keys or not 0.0 <= age < STALE:
                await self._read(now, None)
            elif age >= FRESH and not self._asked_lately(now):
                try:
                    await self._read(now, REFRESH)
                except ProviderError as error:
                    if error.code == "discovery_invalid":
                        raise
            found = self._pick(kid)
            if found is None and not self._asked_lately(now):
                await self._read(now, None)
                found = self._pick(kid)
            return found

    async def count(self, uri: str) -> int:
        """How many usable keys there are. Raises `ProviderError`."""
        await self.find(uri, None)
        return len(self._keys)

    def _asked_lately(self, now: float) -> bool:
        return 0.0 <= now - self._asked_at < PAUSE

    def _pick(self, kid: str | None) -> Key | None:
        matching = [key for key in self._keys if kid is None or key.kid == kid]
        return matching[0] if len(matching) == 1 else None

    async def _read(self, now: float, limit: float | None) -> None:
        self._asked_at = now
        answer = await self._fetcher.get(self._from, limit=limit)
        if answer.status != 200:
            raise ProviderError("unreachable", f"the provider's keys were answered {answer.status}")
        try:
            keys = parse_keys(answer.json_object())
        except ValueError as error:
            raise ProviderError("discovery_invalid", f"the provider's keys are unusable: {error}") from None
        self._keys, self._read_at = keys, now


def parse_keys(document: Mapping[str, Any]) -> list[Key]:
    """The keys for signatures in a JWK set. Others, and secrets that do not belong there, are passed over.

    `ValueError` when it is no set, too large, or nothing in it can be used.
    """
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f"it is not a list of at most {MAX_KEYS} keys")
    found = []
    for each in listed:
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        members = _MEMBERS.get(each["kty"]) if isinstance(each.get("kty"), str) else None
        kid, algorithm, issuer = each.get("kid", ""), each.get("alg", ""), each.get("issuer", "")
        if members is None or not all(isinstance(each.get(name), str) for name in members):
            continue
        if isinstance(kid, str) and isinstance(algorithm, str) and isinstance(issuer, str):
            found.append(Key(kid, algorithm, {name: each[name] for name in members}, issuer))
    if not found:
        raise ValueError("there is no key for signatures in it")
    return found
