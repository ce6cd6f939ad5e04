"""Which page is where: every page made of what it needs, under its address."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gatekeeper.pages.account import AccountPage
from gatekeeper.pages.administrator import AdministratorPage
from gatekeeper.pages.bounce import Bounces
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.csrf import Csrf
from gatekeeper.pages.flow import BACK, SignInFlow
from gatekeeper.pages.forgot import ForgotPage
from gatekeeper.pages.form_errors import PasswordWords
from gatekeeper.pages.form_guard import FormGuard
from gatekeeper.pages.invite import InvitePage
from gatekeeper.pages.kept import KeptPage
from gatekeeper.pages.looks import Looks
from gatekeeper.pages.page import Pages
from gatekeeper.pages.password import PasswordPage
from gatekeeper.pages.password_proof import PasswordProof
from gatekeeper.pages.reset import ResetPage
from gatekeeper.pages.second_factor import SecondFactorPage
from gatekeeper.pages.services import PageServices
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.session_state import SessionState
from gatekeeper.pages.sign_in import SignInPage
from gatekeeper.pages.sign_out import SignOutPages
from gatekeeper.pages.sso import SsoPages
from gatekeeper.pages.sso_buttons import SsoButtons
from gatekeeper.pages.sso_flows import FlowCookies
from gatekeeper.pages.static import SESSION_SCRIPT
from gatekeeper.pages.templates import TemplateFolders
from gatekeeper.pages.two_factor_setup import TwoFactorSetupPage
from gatekeeper.pages.unlock import UnlockPage
from gatekeeper.pages.welcome import WelcomePage

CHANGE_PASSWORD = "/.well-known/change-password"  # noqa: S105 - a path (W3C change-password-url)


class Shared(NamedTuple):
    """What nearly every page needs."""

    looks: Looks
    pages: Pages
    csrf: Csrf
    guard: FormGuard
    bounces: Bounces
    holder: BrowserSession
    memory: BrowserMemory
    flow: SignInFlow
    words: PasswordWords
    flows: FlowCookies


def make_shared(services: PageServices) -> Shared:
    """Raises FileNotFoundError, jinja2.TemplateError."""
    folders = TemplateFolders(services.templates_dir)
    looks = Looks(services, folders)
    csrf = Csrf(services.secrets, services.cookies, services.public_origins, services.clock)
    bounces = Bounces(services.cookies, services.clock)
    holder = BrowserSession(services.sessions, services.cookies, services.remember_max)
    memory = BrowserMemory(services.cookies)
    return Shared(
        looks=looks,
        pages=Pages(looks, csrf),
        csrf=csrf,
        guard=FormGuard(csrf, services.audit),
        bounces=bounces,
        holder=holder,
        memory=memory,
        flow=SignInFlow(
            sign_in=services.sign_in,
            second_factors=services.second_factors,
            sessions=services.sessions,
            holder=holder,
            memory=memory,
            bounces=bounces,
            prefix=services.prefix,
        ),
        words=PasswordWords(
            services.locale, least=services.password_min_length, history=services.password_history
        ),
        flows=FlowCookies(services.secrets, services.cookies, services.clock, services.prefix),
    )


def make_sign_out(services: PageServices, shared: Shared) -> SignOutPages:
    """Also for forms of an application, which have no address of ours."""
    return SignOutPages(
        sessions=shared.holder,
        audit=services.audit,
        guard=shared.guard,
        pages=shared.pages,
        bounces=shared.bounces,
        providers={entry.provider.name: entry for entry in services.sso.providers},
        prefix=services.prefix,
    )


def routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    """Every address of ours."""
    return [
        *_sign_in_routes(services, shared),
        *_account_routes(services, shared),
        *_kept_routes(services, shared),
        *_password_routes(services, shared),
        *_linked_routes(services, shared),
        *_provider_routes(services, shared),
        Route(
            f"{services.prefix}/static/{SESSION_SCRIPT}",
            shared.looks.common.static.serve_session_script,
            methods=["GET"],
        ),
        Route(f"{services.prefix}/static/{{version}}/{{name}}", shared.looks.serve, methods=["GET"]),
    ]


def _sign_in_routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    prefix, pages, guard, flow = services.prefix, shared.pages, shared.guard, shared.flow
    sign_in = SignInPage(
        sign_in=services.sign_in,
        second_factors=services.second_factors,
        sessions=shared.holder,
        memory=shared.memory,
        flow=flow,
        guard=guard,
        pages=pages,
        bounces=shared.bounces,
        buttons=SsoButtons(services.sso.providers, shared.flows, services.locale, prefix),
        can_remember=services.remember_max is not None,
    )
    second_factor = SecondFactorPage(
        second_factors=services.second_factors,
        sessions=services.sessions,
        holder=shared.holder,
        memory=shared.memory,
        flow=flow,
        guard=guard,
        pages=pages,
        locale=services.locale,
    )
    sign_out = make_sign_out(services, shared)
    found = [
        Route(f"{prefix}/login", sign_in.show, methods=["GET"]),
        *([Route(f"{prefix}/login", sign_in.submit, methods=["POST"])] if services.local_passwords else []),
        *_form(f"{prefix}/login/2fa", second_factor),
        Route(f"{prefix}/logout", sign_out.ask, methods=["GET"]),
        Route(f"{prefix}/logout", sign_out.do, methods=["POST"]),
        Route(f"{prefix}/signed-out", sign_out.done, methods=["GET"]),
        *_session_routes(services, shared, sign_out),
    ]
    if services.slides:
        welcome = WelcomePage(
            slides=services.slides,
            welcomes=services.welcomes,
            sessions=services.sessions,
            flow=flow,
            guard=guard,
            pages=pages,
            looks=shared.looks,
        )
        found += _form(f"{prefix}/welcome", welcome)
    return found


def _session_routes(services: PageServices, shared: Shared, sign_out: SignOutPages) -> list[BaseRoute]:
    """What the session script asks."""
    prefix = services.prefix
    state = SessionState(
        sessions=services.sessions,
        tabs=services.tabs,
        sign_out=sign_out,
        pages=shared.pages,
        csrf=shared.csrf,
        looks=shared.looks,
        timeouts=services.timeouts,
        locale=services.locale,
        clock=services.clock,
        prefix=prefix,
    )
    return [
        Route(f"{prefix}/session/pulse", state.pulse, methods=["POST"]),
        Route(f"{prefix}/session", state.show, methods=["GET"]),
        Route(f"{prefix}/session/active", state.active, methods=["POST"]),
        Route(f"{prefix}/session/session.css", shared.looks.serve_session_style, methods=["GET"]),
        Route(f"{prefix}/session/closing", state.closing, methods=["POST"]),
        Route(f"{prefix}/session/logout", state.sign_out, methods=["POST"]),
        Route(f"{prefix}{BACK}", state.back, methods=["GET"]),
    ]


def _account_routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    prefix, pages, guard, flow = services.prefix, shared.pages, shared.guard, shared.flow
    setup = TwoFactorSetupPage(
        second_factors=services.second_factors,
        sign_in=services.sign_in,
        qr=services.qr,
        proof=PasswordProof(services.secrets, services.clock),
        sessions=services.sessions,
        holder=shared.holder,
        memory=shared.memory,
        flow=flow,
        guard=guard,
        pages=pages,
        locale=services.locale,
        prefix=prefix,
        offered=services.policy.two_factor != "off",
    )
    account = AccountPage(
        second_factors=services.second_factors,
        sessions=services.sessions,
        history=services.history,
        memory=shared.memory,
        flow=flow,
        guard=guard,
        pages=pages,
        locale=services.locale,
        policy=services.policy,
        clock=services.clock,
        prefix=prefix,
    )
    return [
        *_form(f"{prefix}/2fa/setup", setup),
        Route(f"{prefix}/2fa/saved", setup.saved, methods=["POST"]),
        *_form(f"{prefix}/account", account),
    ]


def _kept_routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    if services.kept_forms is None:
        return []
    page = KeptPage(
        kept=services.kept_forms,
        cookie=services.cookies.kept,
        flow=shared.flow,
        guard=shared.guard,
        pages=shared.pages,
        prefix=services.prefix,
    )
    return _form(f"{services.prefix}/kept", page)


def _password_routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    if not services.local_passwords:
        return []
    prefix = services.prefix
    password = PasswordPage(
        passwords=services.passwords,
        sessions=services.sessions,
        holder=shared.holder,
        memory=shared.memory,
        flow=shared.flow,
        guard=shared.guard,
        pages=shared.pages,
        locale=services.locale,
        words=shared.words,
        policy=services.policy,
        prefix=prefix,
    )

    async def change_password(_request: Request) -> Response:
        return Response(status_code=302, headers={"location": f"{prefix}/password"})

    return [
        *_form(f"{prefix}/password", password),
        Route(CHANGE_PASSWORD, change_password, methods=["GET"]),
    ]


def _linked_routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    prefix, pages, guard, words = services.prefix, shared.pages, shared.guard, shared.words
    administrator = AdministratorPage(
        link=services.admin_link,
        sessions=shared.holder,
        flow=shared.flow,
        guard=guard,
        pages=pages,
        locale=services.locale,
        words=words,
        password_min_length=services.password_min_length,
    )
    forgot = ForgotPage(
        recovery=services.recovery, guard=guard, pages=pages, locale=services.locale, prefix=prefix
    )
    reset = ResetPage(recovery=services.recovery, guard=guard, pages=pages, words=words, prefix=prefix)
    invite = InvitePage(
        invitations=services.invitations, guard=guard, pages=pages, words=words, prefix=prefix
    )
    unlock = UnlockPage(unlocks=services.unlocks, guard=guard, pages=pages, prefix=prefix)
    if not services.local_passwords:  # the others all lead to a password
        return _form(f"{prefix}/unlock", unlock)
    return [
        *_form(f"{prefix}/setup", administrator),
        *_form(f"{prefix}/forgot", forgot),
        *_form(f"{prefix}/reset", reset),
        *_form(f"{prefix}/invite", invite),
        *_form(f"{prefix}/unlock", unlock),
    ]


def _provider_routes(services: PageServices, shared: Shared) -> list[BaseRoute]:
    sso = services.sso
    if not sso.providers or sso.federation is None or sso.flows is None:
        return []
    pages = SsoPages(
        providers={entry.provider.name: entry for entry in sso.providers},
        federation=sso.federation,
        uses=sso.flows,
        cookies=shared.flows,
        second_factors=services.second_factors,
        holder=shared.holder,
        memory=shared.memory,
        flow=shared.flow,
        pages=shared.pages,
        audit=services.audit,
        locale=services.locale,
        origins=services.public_origins,
        prefix=services.prefix,
    )
    place = f"{services.prefix}/sso/{{name}}"
    return [
        Route(place, pages.begin, methods=["GET"]),
        Route(f"{place}/callback", pages.callback, methods=["GET"]),
        Route(f"{place}/sign-out", pages.sign_out, methods=["GET"]),
    ]


class _FormPage(Protocol):
    async def show(self, request: Request) -> Response: ...

    async def submit(self, request: Request) -> Response: ...


def _form(path: str, page: _FormPage) -> list[BaseRoute]:
    """GET shows it, POST sends it."""
    return [Route(path, page.show, methods=["GET"]), Route(path, page.submit, methods=["POST"])]
