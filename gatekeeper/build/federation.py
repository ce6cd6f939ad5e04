"""Composing sign-in at identity providers: who vouches for whom, and what the pages are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.accounts.federation import Federation, ProviderPolicy
from gatekeeper.accounts.provider_flows import ProviderFlows
from gatekeeper.build.providers import make_providers
from gatekeeper.core.clock import Clock
from gatekeeper.pages.sso_services import NO_PROVIDERS, ProviderServices, SignInProvider
from gatekeeper.settings import Settings
from gatekeeper.settings.providers import MICROSOFT, MicrosoftSettings, OidcSettings

if TYPE_CHECKING:
    from gatekeeper.build.services import Services


def make_provider_services(settings: Settings, services: Services, clock: Clock) -> ProviderServices:
    """Every provider with its button. Raises OSError for certificates that cannot be read."""
    sections = _sections(settings)
    if not sections:
        return NO_PROVIDERS
    policies = {
        name: ProviderPolicy(section.provision, frozenset(rule.role for rule in section.roles))
        for name, section in sections.items()
    }
    return ProviderServices(
        [
            SignInProvider(
                provider,
                sections[provider.name].button,
                sections[provider.name].client_id,
                sections[provider.name].sign_out,
            )
            for provider in make_providers(settings, clock)
        ],
        Federation(services.db, services.users, services.lockout, services.audit, clock, policies=policies),
        ProviderFlows(services.db, services.rates, clock),
    )


def _sections(settings: Settings) -> dict[str, MicrosoftSettings | OidcSettings]:
    found: dict[str, MicrosoftSettings | OidcSettings] = {}
    if settings.microsoft is not None:
        found[MICROSOFT] = settings.microsoft
    return found | {section.name: section for section in settings.oidc}
