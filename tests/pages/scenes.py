"""Every page in every state, to be photographed and examined: what to do in a browser to see each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from playwright.sync_api import Page, expect

from gatekeeper.accounts.federation import FederationRefused
from gatekeeper.accounts.kept_forms import Summary
from gatekeeper.core.context import Refusal
from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.errors import RateLimited
from gatekeeper.core.steps import StepPolicy
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.services import Branding, Slide
from tests.pages.providers import FakeProvider, entry
from tests.pages.support import ADA, GOOD_PASSWORD, House

DAY = 86_400.0
POLICY = StepPolicy(
    two_factor="optional", password_max_age=90 * DAY, password_unused=30 * DAY, first_logon="encourage"
)
_PICTURE = b"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 160"><rect width="320" height="160"
fill="#dbe7ff"/><circle cx="160" cy="80" r="40" fill="#1d4ed8"/></svg>"""
SLIDES = (
    Slide("Welcome to the back office", "Three short pages, then you are in.", _PICTURE, "image/svg+xml"),
    Slide("Help is near", "Everything is described in the help center.", _PICTURE, "image/svg+xml"),
)


_BACK = FakeProvider()
PROVIDERS = (
    entry(_BACK, sign_out=True),
    entry(FakeProvider("id", "the company's identity service of Example Ltd")),
)


def house(origin: str, *, locale: str = "en", show_password: str = "button", slides: bool = True) -> House:
    """Pages on plain loopback http, with refusals to look at."""
    made = House(
        cookies=CookieNames.make("gatekeeper", secure=False),
        origins=(origin,),
        locale=Locale(locale),
        branding=Branding(
            product_name="Back office", help_url="mailto:it@example.com", show_password=show_password
        ),
        refusals={
            "/forbidden": Refusal(403, "forbidden"),
            "/down": Refusal(502, "upstream_unreachable"),
            "/slow": Refusal(504, "upstream_timeout"),
            "/broken": Refusal(500, "internal_error"),
        },
        policy=POLICY._replace(welcome=slides),
        remember_max=30 * DAY,
        providers=PROVIDERS,
        slides=SLIDES if slides else (),
    )
    made.second_factors.trust_for = 30 * DAY
    _reset(made)
    return made


class Stage(NamedTuple):
    """Where a scene is played."""

    page: Page
    origin: str
    house: House

    def goto(self, path: str) -> None:
        self.page.goto(self.origin + path)

    def send(self) -> None:
        """Press the main button."""
        self.page.click("button.p:visible")

    def sign_in(self, next: str = "/forbidden") -> None:
        self.goto(f"/_gate/login?next={next}")
        self.page.fill("#login", ADA.login)
        self.page.fill("#password", GOOD_PASSWORD)
        self.send()

    def fresh(self, **facts: Any) -> None:
        """Nobody signed in, Ada as on the first day but for `facts`."""
        self.page.goto("about:blank")  # an address that differs by its fragment alone is not loaded again
        self.page.context.clear_cookies()
        self.house.sessions.live.clear()
        _reset(self.house)
        self.house.accounts.change(**facts)


class Scene(NamedTuple):
    name: str
    play: Callable[[Stage], None]


def _reset(house: House) -> None:
    now = house.clock()
    house.accounts.by_id[ADA.id] = ADA._replace(
        welcomed=True, password_changed_at=now - 10 * DAY, last_sign_in_at=now - DAY
    )
    house.accounts.passwords[ADA.id] = GOOD_PASSWORD
    house.accounts.locked.clear()
    house.federation.fails_with = None
    house.second_factors.wrong = 0
    house.second_factors.fails_with = house.sign_in.fails_with = None
    house.links.token, house.links.enabled = "mailed-token", True


def _login(stage: Stage) -> None:
    stage.fresh()
    stage.goto("/_gate/login?next=/orders")


def _login_error(stage: Stage) -> None:
    _login(stage)
    stage.page.fill("#login", ADA.login)
    stage.page.fill("#password", "not the password")
    stage.send()


def _login_shown(stage: Stage) -> None:
    _login(stage)
    stage.page.fill("#password", GOOD_PASSWORD)
    stage.page.click("[data-reveal]")


def _login_no_cookie(stage: Stage) -> None:
    _login(stage)
    stage.page.context.clear_cookies()
    stage.page.fill("#login", ADA.login)
    stage.page.fill("#password", GOOD_PASSWORD)
    stage.send()


def _login_too_many(stage: Stage) -> None:
    _login(stage)
    stage.house.sign_in.fails_with = RateLimited(60)
    stage.page.fill("#login", ADA.login)
    stage.page.fill("#password", GOOD_PASSWORD)
    stage.send()


def _ended(why: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh()
        stage.goto(f"/_gate/login?ended={why}")

    return play


def _administrator(stage: Stage) -> None:
    stage.fresh()
    stage.goto("/_gate/setup#a-token")


def _administrator_error(stage: Stage) -> None:
    _administrator(stage)
    stage.page.fill("#login", ADA.login)
    stage.page.fill("#password", "x")
    stage.send()


def _code(stage: Stage) -> None:
    stage.fresh(second_factor=True)
    stage.sign_in()


def _code_error(stage: Stage) -> None:
    _code(stage)
    stage.page.fill("#code", "000 000")
    stage.send()


def _code_recovery(stage: Stage) -> None:
    _code(stage)
    stage.page.get_by_role("link", name="Use a recovery code instead").click()


def _set_up(stage: Stage) -> None:
    stage.fresh(two_factor="mandatory")
    stage.sign_in()


def _set_up_error(stage: Stage) -> None:
    _set_up(stage)
    stage.page.fill("#code", "1")
    stage.send()


def _recovery_codes(stage: Stage) -> None:
    _set_up(stage)
    stage.page.fill("#code", "123 456")
    stage.send()


def _must_change(why: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh(must_change=why)
        stage.sign_in()

    return play


def _expired(stage: Stage) -> None:
    stage.fresh(password_changed_at=stage.house.clock() - 91 * DAY)
    stage.sign_in()


def _unused(stage: Stage) -> None:
    now = stage.house.clock()
    stage.fresh(last_sign_in_at=now - 31 * DAY, password_changed_at=now - 40 * DAY)
    stage.sign_in()


def _password_error(stage: Stage) -> None:
    _must_change("reset")(stage)
    stage.page.fill("#new_password", "short")
    stage.page.fill("#confirm_password", "short")
    stage.send()


def _welcome(slide: int) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh(welcomed=False)
        stage.sign_in()
        stage.goto(f"/_gate/welcome?slide={slide}")

    return play


def _signed_in(path: str, **facts: Any) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh()
        stage.sign_in()
        stage.house.accounts.change(**facts)
        stage.goto(path)

    return play


def _account_two(stage: Stage) -> None:
    """Two sessions and a second factor."""
    stage.fresh(second_factor=True)
    for _ in range(2):
        stage.page.context.clear_cookies()
        stage.sign_in()
        stage.page.fill("#code", "123456")
        stage.send()
    stage.goto("/_gate/account")


def _account_error(stage: Stage) -> None:
    _account_two(stage)
    stage.page.get_by_text("New recovery codes", exact=True).click()
    stage.page.fill("#codes-code", "1")
    stage.page.get_by_role("button", name="Make new recovery codes").click()


def _set_up_by_choice(stage: Stage) -> None:
    _signed_in("/_gate/account")(stage)
    stage.page.get_by_role("link", name="Set up two-factor authentication").click()


def _set_up_after_password(stage: Stage) -> None:
    _set_up_by_choice(stage)
    stage.page.fill("#password", GOOD_PASSWORD)
    stage.send()


def _forgot(stage: Stage) -> None:
    stage.fresh()
    stage.goto("/_gate/forgot")


def _forgot_error(stage: Stage) -> None:
    _forgot(stage)
    stage.page.fill("#login", " ")
    stage.send()


def _forgot_sent(stage: Stage) -> None:
    _forgot(stage)
    stage.page.fill("#login", ADA.login)
    stage.send()


def _forgot_without_mail(stage: Stage) -> None:
    stage.fresh()
    stage.house.links.enabled = False
    stage.goto("/_gate/forgot")


def _linked(page: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh()
        stage.goto(f"/_gate/{page}?token=mailed-token")

    return play


def _reset_error(stage: Stage) -> None:
    _linked("reset")(stage)
    stage.page.fill("#new_password", "one password of mine")
    stage.page.fill("#confirm_password", "another password of mine")
    stage.send()


def _reset_done(stage: Stage) -> None:
    _linked("reset")(stage)
    stage.page.fill("#new_password", "one password of mine")
    stage.page.fill("#confirm_password", "one password of mine")
    stage.send()


def _invite_first_password(stage: Stage) -> None:
    stage.fresh()
    del stage.house.accounts.passwords[ADA.id]
    stage.goto("/_gate/invite?token=mailed-token")


def _unlocked(stage: Stage) -> None:
    _linked("unlock")(stage)
    stage.send()


def _plain(path: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh()
        stage.goto(path)

    return play


def _loop(stage: Stage) -> None:
    stage.fresh()
    stage.sign_in()
    for _ in range(4):
        stage.goto("/_gate/login?next=/down")


def _kept(*places: bytes) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh()
        here = stage.origin.partition("://")[2]
        names = ["customer", "article", "a name that is rather long, for a field of a form"]
        stage.house.kept_forms.forms = [
            Summary("k" * 43, here, place, b"", names, 100, 1_800_000_000.0) for place in places
        ]
        _signed_in("/_gate/kept")(stage)

    return play


def _kept_login(stage: Stage) -> None:
    stage.fresh()
    stage.goto("/_gate/login?next=/_gate/kept&ended=idle")


def _signed_out(stage: Stage) -> None:
    _signed_in("/_gate/logout")(stage)
    stage.send()


def _login_trouble(stage: Stage) -> None:
    stage.fresh()
    state = _away(stage)
    assert state
    stage.goto("/_gate/login?next=/orders")
    stage.page.click("details.trouble > summary")


def _away(stage: Stage) -> str:
    """Go to Microsoft, which does not answer here; the state of the flow."""
    known = len(_BACK.begun)
    stage.page.request.get(stage.origin + "/_gate/sso/microsoft?next=/orders", max_redirects=0)
    (begun,) = _BACK.begun[known:]
    return begun["state"]


def _sso_refused(reason: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.fresh()
        stage.house.federation.fails_with = FederationRefused(reason=reason)
        stage.goto(f"/_gate/sso/microsoft/callback?state={_away(stage)}&code=good")

    return play


def _signed_in_elsewhere(stage: Stage) -> None:
    stage.fresh(has_password=False)
    stage.page.context.clear_cookies()
    stage.goto(f"/_gate/sso/microsoft/callback?state={_away(stage)}&code=good")
    stage.goto("/_gate/account")


def _set_up_signed_in_elsewhere(stage: Stage) -> None:
    """So long ago that the person has to sign in again first."""
    _signed_in_elsewhere(stage)
    for value, session in stage.house.sessions.live.items():
        record = session.record._replace(first_factor_at=session.record.first_factor_at - 3_600)
        stage.house.sessions.live[value] = session._replace(record=record)
    stage.goto("/_gate/2fa/setup")
    expect(stage.page.get_by_role("button", name="Sign in again")).to_be_visible()


def _sso_error(stage: Stage) -> None:
    stage.fresh()
    place = f"/_gate/sso/microsoft/callback?state={_away(stage)}"
    stage.goto(f"{place}&error=access_denied&error_description=AADSTS65001")


SCENES = [
    Scene("login", _login),
    Scene("login-error", _login_error),
    Scene("login-shown", _login_shown),
    Scene("login-no-cookie", _login_no_cookie),
    Scene("login-too-many", _login_too_many),
    *(Scene(f"login-{why}", _ended(why)) for why in ("idle", "unfinished", "locked", "password_set")),
    Scene("login-trouble", _login_trouble),
    Scene("sso-unknown-user", _sso_refused("unknown_user")),
    Scene("sso-locked", _sso_refused("locked")),
    Scene("sso-error", _sso_error),
    Scene("administrator", _administrator),
    Scene("administrator-error", _administrator_error),
    Scene("code", _code),
    Scene("code-error", _code_error),
    Scene("code-recovery", _code_recovery),
    Scene("set-up", _set_up),
    Scene("set-up-error", _set_up_error),
    Scene("set-up-by-choice", _set_up_by_choice),
    Scene("set-up-after-password", _set_up_after_password),
    Scene("recovery-codes", _recovery_codes),
    Scene("password-first-logon", _must_change("first_logon")),
    Scene("password-reset", _must_change("reset")),
    Scene("password-expired", _expired),
    Scene("password-unused", _unused),
    Scene("password-error", _password_error),
    Scene("password-by-choice", _signed_in("/_gate/password")),
    Scene("welcome", _welcome(1)),
    Scene("welcome-last", _welcome(2)),
    Scene("kept", _kept(b"/orders/new?x=1", b"/a/rather/long/address/" + b"x" * 90)),
    Scene("kept-none", _kept()),
    Scene("kept-login", _kept_login),
    Scene("account", _signed_in("/_gate/account")),
    Scene("account-two", _account_two),
    Scene("account-elsewhere", _signed_in_elsewhere),
    Scene("setup-elsewhere-again", _set_up_signed_in_elsewhere),
    Scene("account-error", _account_error),
    Scene("forgot", _forgot),
    Scene("forgot-error", _forgot_error),
    Scene("forgot-sent", _forgot_sent),
    Scene("forgot-without-mail", _forgot_without_mail),
    Scene("reset", _linked("reset")),
    Scene("reset-error", _reset_error),
    Scene("reset-done", _reset_done),
    Scene("reset-over", _plain("/_gate/reset?token=old")),
    Scene("invite", _linked("invite")),
    Scene("invite-first-password", _invite_first_password),
    Scene("unlock", _linked("unlock")),
    Scene("unlocked", _unlocked),
    Scene("forbidden", _signed_in("/forbidden")),
    Scene("down", _plain("/down")),
    Scene("slow", _plain("/slow")),
    Scene("broken", _plain("/broken")),
    Scene("nothing", _plain("/_gate/nothing")),
    Scene("logout", _signed_in("/_gate/logout")),
    Scene("signed-out", _signed_out),
    Scene("loop", _loop),
]
