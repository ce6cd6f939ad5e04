"""What a person sees instead of the page asked for: plain words, what to do, and the reference id."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.core.context import Refusal
from gatekeeper.core.returns import safe_return
from gatekeeper.pages.i18n import N_, Locale
from gatekeeper.pages.page import Pages, context_of


class _Words(NamedTuple):
    title: str
    text: str


_BY_REASON = {
    "store_unavailable": _Words(
        N_("Sign-in is not available for a moment"),
        N_(
            "The server cannot reach its own records. Nothing was changed. Please try again in a few seconds."
        ),
    ),
    "overloaded": _Words(
        N_("Too many people at once"),
        N_("The server is busy. Please try again in a few seconds."),
    ),
    "upstream_unreachable": _Words(
        N_("The application cannot be reached"),
        N_("The sign-in works, but the application behind it does not answer. Please try again soon."),
    ),
    "no_application": _Words(
        N_("There is no such page here"),
        N_("Here people only sign in. Please go to the application by its usual address."),
    ),
    "form_too_large": _Words(
        N_("That was too much text"),
        N_("The form you sent is larger than this page accepts. Please go back and shorten it."),
    ),
}

_BY_STATUS = {
    400: _Words(
        N_("This address does not work"),
        N_("A part of the address or of the form cannot be read safely. Please start at the beginning."),
    ),
    403: _Words(
        N_("You may not open this page"),
        N_("Your account may not see it. If you think that it should, ask your administrator."),
    ),
    404: _Words(
        N_("There is no such page"),
        N_("The address may be mistyped, or the page may have moved."),
    ),
    405: _Words(
        N_("This does not work that way"),
        N_("The page was asked for something that it does not do. Please start again at the sign-in page."),
    ),
    413: _Words(
        N_("That was too much data"),
        N_("What you sent is larger than the server accepts."),
    ),
    421: _Words(
        N_("This is not the right address"),
        N_("The server was reached under a name that it does not go by. Please use its usual address."),
    ),
    429: _Words(
        N_("Too many attempts"),
        N_("Please wait a little, then try again."),
    ),
    500: _Words(
        N_("Internal server error"),
        N_(
            "Something went wrong on our side. Should it happen again, tell your administrator the reference."
        ),
    ),
    502: _Words(
        N_("The application cannot be reached"),
        N_("The application behind this page gave no usable answer. Please try again soon."),
    ),
    503: _Words(
        N_("Not available for a moment"),
        N_("The server is busy or being restarted. Please try again in a few seconds."),
    ),
    504: _Words(
        N_("The application takes too long"),
        N_("It did not answer in time. What you sent may still have arrived: look before you send it again."),
    ),
}

_OTHER = _Words(
    N_("This request was refused"),
    N_("The server could not accept what was sent. Please start again at the beginning."),
)


class ErrorPages:
    """Renders a refusal. One template for all; nothing of the cause but its kind is shown."""

    def __init__(self, pages: Pages, locale: Locale, prefix: str) -> None:
        self._pages = pages
        self._locale = locale
        self._prefix = prefix

    def answer(self, request: Request, refusal: Refusal) -> Response:
        """The page for `refusal`, with its status."""
        words = _BY_REASON.get(refusal.reason) or _BY_STATUS.get(refusal.status, _OTHER)
        context = context_of(request)
        session = context.session if context.session is not None and context.session.complete else None
        headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
        again = _again(request, self._prefix)
        return self._pages.answer(
            request,
            "error.html",
            status=refusal.status,
            headers=headers,
            title=self._locale.text(words.title),
            text=self._locale.text(words.text),
            user=session.user if session is not None else None,
            offer_other_user=refusal.status == 403 and session is not None,
            again=again if refusal.status in (429, 500, 502, 503, 504) else "",
            next=again or "/",
        )


def _again(request: Request, prefix: str) -> str:
    """The address that was asked for when asking again is harmless, else ""."""
    facts = context_of(request).facts
    if facts is None or request.method not in ("GET", "HEAD"):
        return ""
    raw = facts.target.raw + (b"?" + facts.target.query if facts.target.query else b"")
    address = raw.decode("latin-1")
    return address if safe_return(address, prefix) == address else ""
