"""The kinds of mail: what each one needs, says in its subject, and how long it is worth sending."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

_HOUR = 3_600.0
_DAY = 86_400.0

OF_ALL = frozenset({"link", "client", "user_agent", "when"})
"""Values that every kind may be given: a link, the client's address and browser, a time (ISO 8601)."""


class MailKind(StrEnum):
    """What a mail is about. The values are stored and name the template files; they never change."""

    INVITATION = "invitation"
    RECOVERY = "recovery"
    LOCKED = "locked"
    GENERATED_PASSWORD = "generated_password"  # noqa: S105 - a name, not a secret
    PASSWORD_EXPIRES = "password_expires"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SECOND_FACTOR_CHANGED = "second_factor_changed"
    NEW_DEVICE = "new_device"
    TEST = "test"
    """Asked for by an operator, to try the settings."""


class Spec(NamedTuple):
    """What there is to know about one kind."""

    subject: str
    """A text for gettext; `{product}` is the product's name."""
    needs: frozenset[str]
    """Values without which the mail would be useless."""
    lifetime: float
    """Seconds after which it is not sent any more, when the caller does not say otherwise."""
    may: frozenset[str] = frozenset()
    """Values that this kind alone may be given."""
    newest_only: bool = False
    """Whether a newer mail of this kind replaces one still waiting for the same user.

    Never for a notice of a security event: whoever causes a second one must not hide the first.
    """
    spread: float = 0.0
    """Seconds within which it is sent at a random time, where making it at once would tell who asked that
    the account exists. 0.0 sends at once."""


def N_(message: str) -> str:
    """Mark a text for extraction; it is translated where the mail is rendered."""
    return message


SPECS: Mapping[MailKind, Spec] = {
    MailKind.INVITATION: Spec(
        N_("Your account for {product}"),
        frozenset({"link"}),
        7 * _DAY,
        may=frozenset({"password"}),
        newest_only=True,
    ),
    MailKind.RECOVERY: Spec(N_("Reset password"), frozenset({"link"}), _HOUR, newest_only=True, spread=3.0),
    MailKind.LOCKED: Spec(N_("Your account is locked"), frozenset({"link"}), _DAY, newest_only=True),
    MailKind.GENERATED_PASSWORD: Spec(
        N_("Your new password"), frozenset({"link", "password"}), 7 * _DAY, newest_only=True
    ),
    MailKind.PASSWORD_EXPIRES: Spec(
        N_("Your password expires soon"), frozenset({"link", "days"}), 3 * _DAY, newest_only=True
    ),
    MailKind.PASSWORD_CHANGED: Spec(N_("Your password was changed"), frozenset(), 7 * _DAY),
    MailKind.SECOND_FACTOR_CHANGED: Spec(
        N_("Your two-factor authentication was changed"), frozenset(), 7 * _DAY, may=frozenset({"change"})
    ),
    MailKind.NEW_DEVICE: Spec(N_("Sign-in from a new device"), frozenset(), 7 * _DAY),
    MailKind.TEST: Spec(N_("Test mail from {product}"), frozenset(), _HOUR),
}


def check_values(kind: MailKind, values: Mapping[str, str]) -> None:
    """Raise ValueError when `values` lacks what `kind` needs, or holds what it does not know.

    The message names keys only: the values are secrets.
    """
    spec = SPECS[kind]
    missing = sorted(name for name in spec.needs if not values.get(name))
    if missing:
        raise ValueError(f"mail {kind.value}: missing {', '.join(missing)}")
    if "days" in values and not (values["days"].isascii() and values["days"].isdigit()):
        raise ValueError(f"mail {kind.value}: days must be a whole number")
    unknown = sorted(set(values) - spec.needs - spec.may - OF_ALL)
    if unknown:
        raise ValueError(f"mail {kind.value}: does not know {', '.join(unknown)}")
