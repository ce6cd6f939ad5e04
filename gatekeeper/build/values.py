"""Settings → plain values: names, times, rules, rates."""

from __future__ import annotations

from collections.abc import Iterable

from gatekeeper.accounts.rates import Attempt, Limits, Rate
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.identity import IdentityNames
from gatekeeper.core.origins import origin_of
from gatekeeper.core.policy import (
    NOBODY,
    PUBLIC,
    SIGNED_IN,
    Allow,
    Policy,
    Rule,
    make_allow,
    make_policy,
    make_rule,
)
from gatekeeper.core.session import Timeouts
from gatekeeper.settings import Settings
from gatekeeper.settings.lockout import CodeRates, MailRates, PasswordRates, parse_rate
from gatekeeper.settings.rules import Access, Word
from gatekeeper.settings.rules import Rule as Written
from gatekeeper.settings.upstream import UpstreamSettings

_WORDS: dict[Word, Allow] = {"public": PUBLIC, "signed_in": SIGNED_IN, "deny": NOBODY}


def make_secrets(settings: Settings) -> list[str]:
    return [secret.get_secret_value() for secret in settings.secrets]


def make_identity_names(settings: Settings) -> IdentityNames:
    identity = settings.identity
    return IdentityNames(
        identity.user, identity.name, identity.email, identity.groups, rfc8187=identity.encoding == "rfc8187"
    )


def make_audience(settings: Settings, application: UpstreamSettings) -> str:
    """Whom assertions are for."""
    if application.audience:
        return application.audience
    if not isinstance(settings.upstream, tuple):
        return settings.identity.assertion.audience or origin_of(settings.public_url)
    place = settings.places(application)[0]
    return f"{settings.public_scheme}://{place.host}{place.path.removesuffix('/')}"


_CLOSING_SHARED = 90.0
"""Seconds. Tabs of several hosts do not know of each other: the last that one knows of is closed while
another is open in the background, from where browsers let it speak once a minute."""


def make_timeouts(settings: Settings) -> Timeouts:
    """How long sessions last."""
    session = settings.session
    closing = _CLOSING_SHARED if session.cookie_domain else Timeouts().closing
    return Timeouts(
        closing=closing,
        idle=session.idle_timeout,
        absolute=session.absolute_timeout,
        remember=session.remember if session.remember_me else 0.0,
        remember_max=session.remember_max,
    )


def make_policy_of(settings: Settings, application: UpstreamSettings) -> Policy:
    """The application's own rules and those of the whole configuration, compiled."""
    scheme, fold = settings.public_scheme, application.case_insensitive
    return make_policy(
        _compiled(settings.rules, scheme, case_insensitive=fold),
        own=_compiled(application.rules, scheme, case_insensitive=fold),
        application=application.name,
    )


def make_allow_of(rule: Written) -> Allow:
    """Whom a rule lets in."""
    allow = rule.allow
    if isinstance(allow, Access):
        return make_allow(roles=allow.roles, users=allow.users, two_factor=allow.two_factor)
    return _WORDS[allow]


def _compiled(rules: Iterable[Written], scheme: str, *, case_insensitive: bool) -> list[Rule]:
    return [
        make_rule(
            rule.path,
            rule.methods,
            make_allow_of(rule),
            path_regex=rule.path_regex,
            hosts=rule.host,
            networks=rule.networks,
            scheme=scheme,
            case_insensitive=case_insensitive,
        )
        for rule in rules
    ]


def make_public_origins(settings: Settings) -> list[str]:
    """Every origin under which browsers reach us; that of public_url first."""
    return [origin_of(f"{settings.public_scheme}://{host}") for host in settings.hosts]


def make_rate_limits(settings: Settings) -> dict[Attempt, Limits]:
    """How often what may be tried."""

    def rate(text: str) -> Rate | None:
        return Rate(*found) if (found := parse_rate(text)) else None

    def limits(section: PasswordRates | CodeRates | MailRates) -> Limits:
        return Limits(rate(section.client), rate(section.account), rate(section.total))

    rates = settings.rate_limits
    return {
        Attempt.PASSWORD: limits(rates.passwords),
        Attempt.CODE: limits(rates.codes),
        Attempt.MAIL: limits(rates.mails),
        Attempt.PROVIDER: Limits(rate(rates.providers.client), None, rate(rates.providers.total)),
    }


def make_cookie_names(settings: Settings) -> CookieNames:
    return CookieNames.make(
        settings.session.cookie_name, secure=settings.secure, domain=settings.session.cookie_domain
    )
