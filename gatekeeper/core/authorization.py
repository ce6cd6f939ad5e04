"""The Authorization header that an application's own lock asks for: passed on, taken out, or written here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gatekeeper.core.policy import Decision, Policy
from gatekeeper.core.session import HeaderList, Session

_NAME = b"authorization"


class Choice(NamedTuple):
    """One value, and whom it is for."""

    roles: frozenset[str] | None
    """None: everybody."""
    value: bytes


class Authorization(NamedTuple):
    """What becomes of Authorization on its way to one application. RFC 9110 section 11.6.2."""

    choices: tuple[Choice, ...] = ()
    """The first that fits the person is written, in place of what the client sent."""
    passes: bool = False
    """Whether the client's own passes where none fits."""
    public: bool = False
    """Whether values are written for pages, too, that the rules let anyone have."""

    def value(self, session: Session | None, policy: Policy, decision: Decision) -> bytes | None:
        """What is written for an allowed request; None: nothing. `session` is a complete one or None."""
        if not self.public and (session is None or is_public(policy, decision)):
            return None
        roles = frozenset(session.user.roles) if session is not None else frozenset()
        for wanted, value in self.choices:
            if wanted is None or wanted & roles:
                return value
        return None

    def applied(
        self, headers: Iterable[tuple[bytes, bytes]], value: bytes | None
    ) -> tuple[Iterable[tuple[bytes, bytes]], HeaderList]:
        """The client's headers, and what is added to them. Names must be lower case (ASGI)."""
        if value is None and self.passes:
            return headers, ()
        return [pair for pair in headers if pair[0] != _NAME], () if value is None else ((_NAME, value),)

    def answered(self, value: bytes | None, *, told: bool) -> HeaderList:
        """The same for a proxy that asked: what it must write; an empty value takes the client's out.

        Only for what another proxy carries it is `told`: one in front of all the rest may hand a person's own
        question on as it hands on every other request, and the person would read the value.
        """
        if value is None and self.passes:
            return ()
        return ((_NAME, (value or b"") if told else b""),)


def is_public(policy: Policy, decision: Decision) -> bool:
    """Whether the rule that decided lets anyone have the page."""
    return decision.rule is not None and policy.rules[decision.rule].allow.public
