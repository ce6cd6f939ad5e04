"""Settings → identity providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.build.values import make_public_origins
from gatekeeper.core.clock import Clock
from gatekeeper.providers.fetch import Fetcher
from gatekeeper.providers.oidc import ClaimNames, Oidc, OidcConfig
from gatekeeper.providers.protocol import Provider
from gatekeeper.providers.roles import RoleRule
from gatekeeper.settings import Settings
from gatekeeper.settings.providers import MicrosoftSettings, OidcSettings

if TYPE_CHECKING:
    from gatekeeper.providers.microsoft import Microsoft


def make_providers(settings: Settings, clock: Clock) -> list[Provider]:
    """All of them in the order of the buttons. Raises OSError for certificates that cannot be read."""
    found: list[Provider] = []
    if settings.microsoft is not None:
        found.append(make_microsoft(settings.microsoft, clock))
    found.extend(make_oidc(provider, clock) for provider in settings.oidc)
    return found


def redirect_uris(settings: Settings, name: str) -> list[str]:
    """What must be registered at the provider called `name`, to the letter: an address for each host."""
    return [f"{origin}{settings.prefix}/sso/{name}/callback" for origin in make_public_origins(settings)]


def make_microsoft(section: MicrosoftSettings, clock: Clock) -> Microsoft:
    """Entra ID. MSAL is imported by those who use it alone: it takes a moment."""
    from gatekeeper.providers.microsoft import Certificate, Microsoft, MicrosoftConfig

    credential: str | Certificate | None = None
    if section.certificate is not None:
        credential = Certificate(
            section.certificate.cert_file.read_text(encoding="ascii"),
            section.certificate.key_file.read_text(encoding="ascii"),
        )
    elif section.client_secret is not None:
        credential = section.client_secret.get_secret_value()
    config = MicrosoftConfig(
        client_id=section.client_id,
        authority=section.authority,
        tenant=section.tenant,
        allowed_tenants=frozenset(section.allowed_tenants),
        credential=credential,
        label=section.label,
        prompt=section.prompt,
        domain_hint=section.domain_hint,
        roles=tuple(
            RoleRule(rule.role, frozenset(rule.groups), frozenset(rule.app_roles)) for rule in section.roles
        ),
        graph=section.real_graph,
        read_groups=section.read_groups,
        second_factor=frozenset(section.two_factor),
    )
    return Microsoft(config, Fetcher(ca_file=section.ca_file), clock)


def make_oidc(section: OidcSettings, clock: Clock) -> Oidc:
    """Any other provider."""
    secret = section.client_secret
    config = OidcConfig(
        name=section.name,
        label=section.label or section.name,
        issuer=section.issuer,
        client_id=section.client_id,
        client_secret=secret.get_secret_value() if secret is not None else None,
        scopes=section.scopes,
        claims=ClaimNames(
            section.claims.login, section.claims.name, section.claims.email, section.claims.groups
        ),
        roles=tuple(RoleRule(rule.role, frozenset(rule.groups)) for rule in section.roles),
        second_factor=frozenset(section.two_factor),
        allow_http=section.issuer.startswith("http:"),
    )
    return Oidc(config, Fetcher(ca_file=section.ca_file), clock)
