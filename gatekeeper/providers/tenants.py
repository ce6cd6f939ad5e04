"""Whose tokens these are: tenants of Entra ID, their issuers, and the domains verified as theirs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from gatekeeper.core.clock import Clock
from gatekeeper.providers.fetch import Fetcher
from gatekeeper.providers.protocol import ProviderError

GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
MANY = ("common", "organizations")
"""Words in place of a tenant that let people of every tenant in."""
_DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_CIAM = ".ciamlogin.com"
_KEPT = 1_000
_FRESH = 3_600.0


def issuer_pattern(authority: str, tenant: str) -> re.Pattern[str]:
    """What the discovery document of `tenant` may call its issuer: with one tenant's id, or a template."""
    place = re.escape(authority)
    if urlsplit(authority).netloc.endswith(_CIAM):
        place = rf"https://{GUID.pattern}{re.escape(_CIAM)}"
    if tenant in MANY:
        who = re.escape("{tenantid}")
    else:
        who = re.escape(tenant.lower()) if GUID.fullmatch(tenant) else GUID.pattern
    return re.compile(rf"{place}/{who}/v2\.0/?")


class TenantOf:
    """Which tenant a domain belongs to, as Entra ID tells everybody: a domain is verified in one alone."""

    def __init__(self, authority: str, fetcher: Fetcher, clock: Clock) -> None:
        self._authority = authority
        self._fetcher = fetcher
        self._clock = clock
        self._pattern = re.compile(rf"{re.escape(authority)}/({GUID.pattern})/v2\.0/?")
        self._known: dict[str, tuple[float, str]] = {}

    async def domain(self, name: str) -> str:
        """The tenant's id, or "" when no tenant has the domain. Raises `ProviderError` ("unreachable")."""
        name = name.lower()
        if not _DOMAIN.fullmatch(name):
            return ""
        now = self._clock()
        read_at, tenant = self._known.get(name, (0.0, ""))
        if 0.0 <= now - read_at < _FRESH:
            return tenant
        tenant = await self._ask(name)
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[name] = (now, tenant)
        return tenant

    async def _ask(self, name: str) -> str:
        answer = await self._fetcher.get(f"{self._authority}/{name}/v2.0/.well-known/openid-configuration")
        if answer.status >= 500 or answer.status == 429:
            raise ProviderError("unreachable", f"the tenant of a domain was answered {answer.status}")
        try:
            issuer = answer.json_object().get("issuer") if answer.status == 200 else None
        except ValueError as error:
            raise ProviderError("discovery_invalid", f"the tenant of a domain: {error}") from None
        found = self._pattern.fullmatch(issuer) if isinstance(issuer, str) else None
        return found[1].lower() if found else ""
