"""What the sign-in page shows of identity providers: their buttons, and help for who did not come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request

from gatekeeper.pages.i18n import N_, Locale
from gatekeeper.pages.sso_flows import FlowCookies
from gatekeeper.pages.sso_services import SignInProvider
from gatekeeper.providers.messages import MESSAGES, STAY_AT_MICROSOFT

MICROSOFT = "microsoft"
"""The name of Entra ID in addresses."""
_SIGN_IN_WITH = N_("Sign in with {provider}")
_TROUBLE = N_("Trouble signing in with {provider}?")
_OTHERS_TROUBLE = N_(
    "If {provider} showed an error, it did not let you come back. Note what it says, and ask your "
    "administrator."
)


class Button(NamedTuple):
    """A link that looks like a button."""

    words: str
    address: str
    microsoft: bool


class Explained(NamedTuple):
    """One error of the provider's own pages."""

    title: str
    text: str


class Help(NamedTuple):
    """For somebody who went to a provider and came back on foot."""

    title: str
    text: str
    errors: Sequence[Explained]


class SsoButtons:
    """Made once; asked for each sign-in page."""

    def __init__(
        self, providers: Sequence[SignInProvider], cookies: FlowCookies, locale: Locale, prefix: str
    ) -> None:
        self._providers = {entry.provider.name: entry for entry in providers}
        self._cookies = cookies
        self._locale = locale
        self._prefix = prefix

    def buttons(self, target: str) -> list[Button]:
        """In the order of the configuration. `target` is where the person goes in the end."""
        back = "" if target == "/" else f"?next={quote(target, safe='/')}"
        return [
            Button(
                entry.button or self._text(_SIGN_IN_WITH, entry),
                f"{self._prefix}/sso/{name}{back}",
                name == MICROSOFT,
            )
            for name, entry in self._providers.items()
        ]

    def help(self, request: Request) -> Help | None:
        """None for whoever has not gone to a provider, or came back from it."""
        entry = self._providers.get(self._cookies.away(request))
        if entry is None:
            return None
        title = self._text(_TROUBLE, entry)
        if entry.provider.name != MICROSOFT:
            return Help(title, self._text(_OTHERS_TROUBLE, entry), ())
        found = [MESSAGES[code] for code in STAY_AT_MICROSOFT]
        errors = [Explained(self._text(told.title, entry), self._text(told.text, entry)) for told in found]
        return Help(title, "", errors)

    def _text(self, message: str, entry: SignInProvider) -> str:
        return self._locale.text(message).replace("{provider}", entry.provider.label)
