"""What may be stored as login, name, e-mail address and role.

These values go into headers, mails and logs: nothing that could break out of a line gets in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.users import login_key

MAX_LOGIN = 254
"""Characters; the longest e-mail address (RFC 5321 section 4.5.3.1.3)."""
_MAX_NAME = 200
_ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,63}")
_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+")


def lookup_key(login: str) -> str | None:
    """The key under which an account with this login would be stored; None when there can be none.

    The length is looked at first: normalising a long text is slow.
    """
    if len(login) > MAX_LOGIN + 64:  # a little room for spaces around it
        return None
    stripped = login.strip()
    if not stripped or len(stripped) > MAX_LOGIN or not stripped.isprintable():
        return None
    return login_key(stripped)


def clean_login(login: str) -> str:
    """`login` without spaces around it. Raises `AccountError` `bad_login`."""
    if lookup_key(login) is None:
        raise AccountError("bad_login", f"a login is 1 to {MAX_LOGIN} printable characters")
    return login.strip()


def clean_name(name: str) -> str:
    """`name` without spaces around it, perhaps "". Raises `AccountError` `bad_name`."""
    name = name.strip()
    if len(name) > _MAX_NAME or not name.isprintable():
        raise AccountError("bad_name", f"a name is at most {_MAX_NAME} printable characters")
    return name


def clean_email(email: str) -> str:
    """`email` without spaces around it, perhaps "". Raises `AccountError` `bad_email`."""
    email = email.strip()
    if email and (len(email) > MAX_LOGIN or not email.isprintable() or not _EMAIL.fullmatch(email)):
        raise AccountError("bad_email", "an e-mail address looks like person@example.com")
    return email


def clean_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """The roles sorted, each once. Raises `AccountError` `bad_role`.

    The application gets roles as a list separated by commas, hence the narrow alphabet.
    """
    cleaned = sorted({role.strip() for role in roles})
    for role in cleaned:
        if not _ROLE.fullmatch(role):
            raise AccountError(
                "bad_role",
                f"role {role!r}: 1 to 64 letters, digits and ._:/@- are allowed, first a letter or digit",
            )
    return tuple(cleaned)
