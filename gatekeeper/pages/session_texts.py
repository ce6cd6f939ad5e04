"""What the session script says inside the application's pages."""

from __future__ import annotations

from collections.abc import Mapping

from gatekeeper.pages.i18n import N_, Locale

_TEXTS = {
    "region": N_("Session"),
    "account": N_("Account"),
    "logout": N_("Logout"),
    "idle_title": N_("You are about to be signed out"),
    "idle": N_("You have not done anything here for a while. You will be signed out in {0}."),
    "stay": N_("Stay signed in"),
    "absolute_title": N_("Your session is about to end"),
    "absolute": N_(
        "It reaches its maximum length in {0}. Sign in again in a new window, and carry on here without"
        " losing anything."
    ),
    "again": N_("Sign in again"),
    "later": N_("Later"),
    "over_title": N_("You are signed out"),
    "over": N_("Sign in again in a new window to carry on with this page as it stands."),
    "over_idle": N_("Your session has ended because you were inactive."),
    "over_absolute": N_("Your session has ended because it reached its maximum length."),
    "over_revoked": N_("Your session was signed out elsewhere or by an administrator."),
    "over_signed_out": N_("You signed out in another tab."),
    "over_closed": N_("Your session has ended because the application was no longer open in any tab."),
    "over_other": N_("Your session has ended."),
    "close": N_("Close"),
    "other_title": N_("Somebody else is signed in now"),
    "other": N_(
        "In this browser {0} has signed in. This page is still that of {1}: load it again before you go on."
    ),
    "reload": N_("Load the page again"),
    "lost_title": N_("Something was not saved"),
    "lost": N_(
        "While you were signed out, this page tried to do something that was not carried out. Do it again."
    ),
}


def session_texts(locale: Locale) -> Mapping[str, str]:
    """Every text by its name in `session.js`; {0} and {1} are filled in there."""
    return {name: locale.text(text) for name, text in _TEXTS.items()}
