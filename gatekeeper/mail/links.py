"""The links in mails: built from `public_url`, never from a request (ASVS 5.0 V4.1)."""

from __future__ import annotations

from urllib.parse import quote


class Links:
    """Absolute URLs of pages of ours. `public_url` has no trailing slash, `prefix` begins with one."""

    def __init__(self, public_url: str, prefix: str) -> None:
        self._base = f"{public_url}{prefix}"

    def recovery(self, token: str) -> str:
        """Where a new password is set with a recovery token."""
        return self._with_token("reset", token)

    def invitation(self, token: str) -> str:
        """Where an invited person begins."""
        return self._with_token("invite", token)

    def unlock(self, token: str) -> str:
        """Where a locked account is unlocked."""
        return self._with_token("unlock", token)

    def sign_in(self) -> str:
        return f"{self._base}/login"

    def password(self) -> str:
        """Where a signed-in person changes the password."""
        return f"{self._base}/password"

    def forgot(self) -> str:
        """Where a recovery mail is asked for."""
        return f"{self._base}/forgot"

    def _with_token(self, page: str, token: str) -> str:
        return f"{self._base}/{page}?token={quote(token, safe='')}"
