"""What a provider's groups and roles mean here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gatekeeper.providers.protocol import ProviderError

_MAX_TEXT = 255


class RoleRule(NamedTuple):
    """Whoever is in one of `groups`, or has one of `app_roles`, has `role`. Spelled as by the provider."""

    role: str
    groups: frozenset[str] = frozenset()
    app_roles: frozenset[str] = frozenset()


def roles_of(rules: Iterable[RoleRule], groups: frozenset[str], app_roles: frozenset[str]) -> frozenset[str]:
    """Our roles of somebody with these groups and application roles."""
    return frozenset(
        rule.role
        for rule in rules
        if not rule.groups.isdisjoint(groups) or not rule.app_roles.isdisjoint(app_roles)
    )


def groups_in(rules: Iterable[RoleRule]) -> frozenset[str]:
    """Every group that matters."""
    return frozenset[str]().union(*(rule.groups for rule in rules))


def texts(value: object) -> frozenset[str]:
    """The texts in a claim that is a list of them, or one alone. Raises `ProviderError` for anything else.

    Nothing is passed over: who has fewer roles than meant may be let in where a rule keeps the others out.
    """
    listed = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise ProviderError("token_invalid", "groups or roles are not a list of texts")
    return frozenset(listed)


def text(claims: Mapping[str, Any], name: str) -> str:
    """A claim for people to read or to be found by: one printable line, or ""."""
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        return ""
    return value.strip()


def left_out(claims: Mapping[str, Any], name: str) -> bool:
    """Whether the provider says that there are too many values of `name` for a token.

    OpenID Connect Core 5.6.2 (distributed claims); Entra ID's `hasgroups`.
    """
    elsewhere = claims.get("_claim_names")
    return (isinstance(elsewhere, dict) and name in elsewhere) or (
        name == "groups" and claims.get("hasgroups") not in (None, False)
    )
