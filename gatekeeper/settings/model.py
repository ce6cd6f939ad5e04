"""The whole configuration: what operators wrote, and what follows from it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from gatekeeper.settings.addresses import NO_URL, Network, Place, is_server
from gatekeeper.settings.applications import application_problems, domain_problem, places_of
from gatekeeper.settings.base import Misfit
from gatekeeper.settings.top_level import TopLevel
from gatekeeper.settings.upstream import UpstreamSettings


class Settings(TopLevel):
    """Made by `load_settings`, or by `make_settings` in code."""

    @property
    def public_scheme(self) -> str:
        """ "http" or "https"."""
        return urlsplit(self.public_url).scheme

    @property
    def public_host(self) -> str:
        """Lower-case host, with the port when it is not the scheme's own."""
        return urlsplit(self.public_url).netloc

    @property
    def secure(self) -> bool:
        """Whether browsers reach us by https: cookies are then `__Host-` and Secure."""
        return self.public_scheme == "https"

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """The first signs, all verify. Never empty once loaded."""
        return self.secret

    @property
    def shared(self) -> bool:
        """Whether other nodes may work with the same accounts or sessions."""
        return is_server(self.database) or bool(self.session.store)

    @property
    def proxy_networks(self) -> tuple[Network, ...]:
        """`trusted_proxies` without the word "unix"."""
        return tuple(proxy for proxy in self.trusted_proxies if proxy != "unix")

    @property
    def trust_unix(self) -> bool:
        """Whether peers on a unix socket are trusted proxies."""
        return "unix" in self.trusted_proxies

    @property
    def applications(self) -> tuple[UpstreamSettings, ...]:
        """Every application; never empty. One without an address stands for what has none in the file."""
        if isinstance(self.upstream, tuple):
            return self.upstream
        if self.upstream is None:
            said = "upstream" in self.model_fields_set
            return (UpstreamSettings(url=NO_URL) if said else UpstreamSettings(),)
        return (self.upstream,)

    @property
    def forward_auth_only(self) -> bool:
        """Whether each application has `none`: there are sign-in pages and answers to other proxies alone."""
        return all(application.url == NO_URL for application in self.applications)

    @property
    def upstream_connections(self) -> int:
        """How many connections there may be to all applications together, per process."""
        return sum(one.max_connections for one in self.applications if one.forwards)

    def places(self, application: UpstreamSettings) -> tuple[Place, ...]:
        """Where people find `application`, each with its host."""
        return places_of(application, self.public_url)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host under which people find us, normalised as `public_host`, which is the first."""
        found = [place.host for application in self.applications for place in self.places(application)]
        return tuple(dict.fromkeys([self.public_host, *found]))

    @model_validator(mode="after")
    def _applications_fit(self) -> Settings:
        for loc, complaint in application_problems(self.upstream, self.prefix, self.two_factor):
            raise Misfit(("upstream", *loc), complaint)
        if complaint := domain_problem(self.session.cookie_domain, self.public_scheme, self.hosts):
            raise Misfit(("session", "cookie_domain"), complaint)
        if self.identity.assertion.audience and len(self.applications) > 1:
            message = "would be the same for several applications: give each its own (upstream[0].audience)"
            raise Misfit(("identity", "assertion", "audience"), message)
        return self
