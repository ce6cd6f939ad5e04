"""Logins: how two spellings are one account."""

from __future__ import annotations

import unicodedata


def login_key(login: str) -> str:
    """The form under which logins compare: stripped, NFKC, casefolded, NFKC once more.

    Casefolding can undo normalisation (Unicode, section 3.13, D146), hence the second pass.
    """
    folded = unicodedata.normalize("NFKC", login.strip()).casefold()
    return unicodedata.normalize("NFKC", folded)
