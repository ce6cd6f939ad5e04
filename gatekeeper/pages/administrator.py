"""The one-time link with which the first administrator makes an account.

The link is `{prefix}/setup#<token>`. The part after `#` never leaves the browser by itself: it is in no
access log, no Referer, no proxy's history, and no mail scanner can use it up. The page's script moves it
into the form; without a script it is typed or pasted there.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.errors import AccountError
from gatekeeper.core.errors import Undecidable
from gatekeeper.pages.flow import SignInFlow
from gatekeeper.pages.form_errors import PasswordWords
from gatekeeper.pages.form_guard import FormGuard, client_of
from gatekeeper.pages.i18n import N_, Locale
from gatekeeper.pages.mailed_link import link_over
from gatekeeper.pages.page import Pages, context_of
from gatekeeper.pages.services import AdministratorLinkService
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.trouble import trouble_of

_FIELDS = ("token", "login", "name", "email")
_FIELD_PROBLEMS = {
    "link_closed": ("token", N_("This link was used already, has expired, or is not the latest one.")),
    "login_taken": ("login", N_("Another account has this login. Choose another one.")),
    "bad_login": ("login", N_("Enter a login of 1 to 254 characters.")),
    "bad_name": ("name", N_("Enter a name of at most 200 characters.")),
    "bad_email": ("email", N_("Enter an e-mail address such as person@example.com, or leave it empty.")),
}


class AdministratorPage:
    """GET shows the form and uses nothing up; POST makes the account and signs in."""

    def __init__(
        self,
        *,
        link: AdministratorLinkService,
        sessions: BrowserSession,
        flow: SignInFlow,
        guard: FormGuard,
        pages: Pages,
        locale: Locale,
        words: PasswordWords,
        password_min_length: int,
    ) -> None:
        self._link = link
        self._sessions = sessions
        self._flow = flow
        self._guard = guard
        self._pages = pages
        self._locale = locale
        self._password_words = words
        self._least = password_min_length

    async def show(self, request: Request) -> Response:
        """The empty form, while there is a link that could be redeemed."""
        if not await self._link.open():
            return link_over(self._pages, request, "administrator")
        return self._page(request, dict.fromkeys(_FIELDS, ""), {})

    async def submit(self, request: Request) -> Response:
        """Redeem the link with the account's data, sign in, and go to the application."""
        posted = await self._guard.read(request)
        values = {field: posted.field(field).strip() for field in _FIELDS}
        if posted.problem:
            return self._page(request, values, {}, problem=posted.problem, status=403)
        try:
            user = await self._link.redeem(
                **values,
                password=posted.field("password"),
                client=client_of(request),
                request_id=context_of(request).request_id,
            )
        except AccountError as error:
            return self._page(request, values, self._words(error), status=422)
        except Undecidable as error:
            problem, status, headers = trouble_of(request, error)
            return self._page(request, values, {}, problem=problem, status=status, headers=headers)
        held = await self._sessions.begin(request, user, methods="pwd")
        return await self._flow.go_on(request, held, "/")

    def _words(self, error: AccountError) -> dict[str, list[str]]:
        """What is wrong, by field. Raises the error again when it is none that a person can mend."""
        if error.reason == "bad_password":
            return {"password": self._password_words.problems(error)}
        if error.reason not in _FIELD_PROBLEMS:
            raise error
        field, message = _FIELD_PROBLEMS[error.reason]
        return {field: [self._locale.text(message)]}

    def _page(
        self,
        request: Request,
        values: dict[str, str],
        errors: dict[str, list[str]],
        *,
        problem: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        return self._pages.answer(
            request,
            "setup.html",
            status=status,
            headers=headers,
            values=values,
            errors=errors,
            problem=problem,
            least=self._least,
        )
