"""Security events by name. The names are stored, logged and alerted on: they never change."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class EventKind(StrEnum):
    """What happened."""

    SIGN_IN_SUCCEEDED = "sign_in.succeeded"
    SIGN_IN_FAILED = "sign_in.failed"
    PASSWORD_ACCEPTED = "sign_in.password_accepted"  # noqa: S105 - a name, not a secret
    """The first factor is proved; `sign_in.succeeded` follows when every step is done."""
    IDENTITY_ACCEPTED = "sign_in.identity_accepted"
    """The same by an identity provider."""
    IDENTITY_BOUND = "identity.bound"
    """An account belongs to one subject of an identity provider from now on."""
    IDENTITY_UNBOUND = "identity.unbound"
    ACCOUNT_LOCKED = "account.locked"
    ACCOUNT_UNLOCKED = "account.unlocked"
    RATE_LIMITED = "rate_limited"
    """Attempts of one kind reached their limit; the next ones are refused unseen for a while."""
    SIGNED_OUT = "sign_out"
    SESSION_REVOKED = "session.revoked"
    USER_ADDED = "user.added"
    USER_DELETED = "user.deleted"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_ROLES_CHANGED = "user.roles_changed"
    USER_INVITED = "user.invited"
    INVITATION_ACCEPTED = "invitation.accepted"
    PASSWORD_SET = "password.set"  # noqa: S105 - a name, not a secret
    PASSWORD_CHANGED = "password.changed"  # noqa: S105
    """By its owner, who proved the old one."""
    PASSWORD_CHANGE_REFUSED = "password.change_refused"  # noqa: S105
    PASSWORD_RESET = "password.reset"  # noqa: S105
    """By its owner, through a mailed link."""
    PASSWORD_GENERATED = "password.generated"  # noqa: S105
    """By an administrator; to be changed at the next sign-in."""
    PASSWORD_REMINDED = "password.reminded"  # noqa: S105
    RECOVERY_REQUESTED = "recovery.requested"
    ADMINISTRATOR_LINK_ISSUED = "administrator_link.issued"
    ADMINISTRATOR_LINK_USED = "administrator_link.used"
    ADMINISTRATOR_LINK_REFUSED = "administrator_link.refused"
    CODE_ACCEPTED = "sign_in.code_accepted"
    """The second factor is proved, for a sign-in or once more before something that asks for it again."""
    SECOND_FACTOR_SET_UP = "second_factor.set_up"
    SECOND_FACTOR_REMOVED = "second_factor.removed"
    """By its owner."""
    SECOND_FACTOR_RESET = "second_factor.reset"
    """By an administrator."""
    SECOND_FACTOR_REQUIRED = "second_factor.required"
    SECOND_FACTOR_NOT_REQUIRED = "second_factor.not_required"
    """For one account; the configuration may still require it."""
    RECOVERY_CODES_RENEWED = "second_factor.recovery_codes_renewed"
    BROWSER_TRUSTED = "second_factor.browser_trusted"
    """This browser is asked for no code for a while."""
    SIGNING_KEY_MADE = "signing_key.made"
    """For assertions, when the one before nears its end or an operator asked."""
    SECRET_ROTATED = "secret.rotated"  # noqa: S105 - a name, not a secret
    DATABASE_RESTORED = "database.restored"
    """A backup took the database's place; every session in it was ended."""
    FORM_REFUSED = "form.refused"
    """A form came without its CSRF token or from another site."""
    FORM_KEPT = "form.kept"
    """It was sent into a session that had ended."""
    FORM_SENT = "form.sent"
    """A kept one, by its owner, after signing in again."""
    MAIL_GIVEN_UP = "mail.given_up"
    """A mail will never be sent: refused for good, expired while waiting, or unreadable."""


class Source(NamedTuple):
    """On whose behalf something is done, and through what request."""

    actor: str
    """A login, "cli:<system user>", or "system"."""
    client: str = ""
    """The client's address."""
    request_id: str = ""
