"""Signing in at an identity provider: out with a flow of one's own, back with a code, and what went wrong.

The way out is a link, not a form: `form-action 'self'` would also hold for the redirect that follows. The way
back is a GET, so that our Lax cookies come along. RFC 9700, OpenID Connect Core section 3.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.accounts.federation import FederationRefused
from gatekeeper.audit.events import EventKind
from gatekeeper.core.origins import origin_of
from gatekeeper.core.session import UserRecord
from gatekeeper.core.steps import FEDERATED, PROVIDERS_FACTOR, TRUSTED, UNKNOWN_TIME
from gatekeeper.pages.browser_memory import BrowserMemory
from gatekeeper.pages.flow import SignInFlow
from gatekeeper.pages.form_guard import client_of
from gatekeeper.pages.i18n import Locale
from gatekeeper.pages.page import Pages, context_of, see_other
from gatekeeper.pages.services import Audit, SecondFactors
from gatekeeper.pages.session_cookie import BrowserSession
from gatekeeper.pages.sso_buttons import MICROSOFT
from gatekeeper.pages.sso_flows import Flow, FlowCookies
from gatekeeper.pages.sso_services import IDP, Federation, ProviderFlows, SignInProvider
from gatekeeper.providers.callback import Callback, parse_callback
from gatekeeper.providers.messages import ANOTHER_ACCOUNT, message_of
from gatekeeper.providers.protocol import Claims, ProviderError
from gatekeeper.sessions.errors import SessionOver

BEGIN_WITHIN = 5.0
"""Seconds until the button leads somewhere, if only to the page that says that the provider is down."""
REDEEM_WITHIN = 20.0
"""Seconds for redeeming a code; groups may have to be asked for one page after the other."""
_FROM_HERE = (None, "same-origin", "none")
"""Sec-Fetch-Site of our own links and of typed addresses; None from browsers that do not send it."""
# The address holds a code: it is in no Referer, and forms of the page still come with their Origin.
_HEADERS = {"referrer-policy": "strict-origin"}

log = structlog.get_logger("gatekeeper.sso")


class _Way(NamedTuple):
    """Where an attempt stands: for its error page."""

    entry: SignInProvider
    flow: Flow | None = None
    target: str = "/"

    @property
    def name(self) -> str:
        return self.entry.provider.name


class SsoPages:
    """`{prefix}/sso/NAME`, its callback, and signing out there."""

    def __init__(
        self,
        *,
        providers: Mapping[str, SignInProvider],
        federation: Federation,
        uses: ProviderFlows,
        cookies: FlowCookies,
        second_factors: SecondFactors,
        holder: BrowserSession,
        memory: BrowserMemory,
        flow: SignInFlow,
        pages: Pages,
        audit: Audit,
        locale: Locale,
        origins: Sequence[str],
        prefix: str,
    ) -> None:
        self._providers = providers
        self._federation = federation
        self._uses = uses
        self._cookies = cookies
        self._second_factors = second_factors
        self._holder = holder
        self._memory = memory
        self._flow = flow
        self._pages = pages
        self._audit = audit
        self._locale = locale
        self._origins = origins
        self._prefix = prefix

    async def begin(self, request: Request) -> Response:
        """To the provider. From another site only as far as our sign-in page: there a person presses the
        button, so that nobody is signed in unasked.
        """
        entry = self._entry(request)
        target = self._flow.asked(request)
        session = await self._flow.current(request)
        if request.headers.get("sec-fetch-site") not in _FROM_HERE or (
            session is not None and session.step != "password"
        ):
            return self._flow.sign_in_page(target)
        flow = self._cookies.begin(entry.provider.name, target)
        try:
            async with asyncio.timeout(BEGIN_WITHIN):
                address = await entry.provider.begin(
                    state=flow.state,
                    nonce=flow.nonce,
                    verifier=flow.verifier,
                    redirect_uri=self._redirect_uri(request, entry),
                    choose="choose" in request.query_params,
                )
        except TimeoutError:
            error = ProviderError("unreachable", f"no answer within {BEGIN_WITHIN:g} s")
            return await self._failed(request, _Way(entry, None, target), error)
        except ProviderError as error:
            return await self._failed(request, _Way(entry, None, target), error)
        response = see_other(address)
        self._cookies.keep(request, response, flow)
        return response

    async def callback(self, request: Request) -> Response:
        """Back with a code, or with an error: signed in and on to the next step, or a page that says why not.

        Raises RateLimited, Undecidable.
        """
        entry = self._entry(request)
        name = entry.provider.name
        way = _Way(entry)
        try:
            came = parse_callback(request.scope["query_string"])
            flow = self._cookies.find(request, name, came.state)
            if flow is None:
                raise ProviderError("state_mismatch", "the state is not that of a flow of this browser")
        except ProviderError as error:
            return await self._failed(request, way, error)
        way = _Way(entry, flow, flow.target)
        first = await self._uses.use(
            flow.state,
            provider=name,
            expires_at=flow.expires_at,
            client=client_of(request),
            request_id=context_of(request).request_id,
        )
        if not first:
            session = context_of(request).session
            if session is not None:  # the same answer once more, as a browser sends it after "back"
                return self._flow.sign_in_page(flow.target)
            return await self._failed(request, way, ProviderError("flow_expired", "the flow came back twice"))
        try:
            return await self._sign_in(request, way, flow, came)
        except (ProviderError, FederationRefused) as error:
            return await self._failed(request, way, error)
        except SessionOver:  # disabled while we were at it
            return await self._failed(request, way, FederationRefused(reason="disabled"))

    async def sign_out(self, request: Request) -> Response:
        """To the provider's own sign-out, which comes back to ours. Only from our pages, only signed out."""
        entry = self._entry(request)
        done = f"{self._prefix}/signed-out"
        session = context_of(request).session
        if session is not None or request.headers.get("sec-fetch-site") not in _FROM_HERE:
            return see_other(done)
        there = (
            entry.provider.end_session_url(return_to=self._origin(request) + done) if entry.sign_out else None
        )
        return see_other(there or done)

    async def _sign_in(self, request: Request, way: _Way, flow: Flow, came: Callback) -> Response:
        came.raise_failure()
        claims = await self._redeemed(request, way.entry, flow, came)
        device = self._memory.device(request)
        user = await self._federation.sign_in(
            claims,
            device=device,
            client=client_of(request),
            request_id=context_of(request).request_id,
        )
        methods = await self._methods(claims, user, device)
        # Its own time, not that of our asking: with a session there, nobody was asked for anything just now.
        proved_at = (claims.authenticated_at or UNKNOWN_TIME) if claims.second_factor else 0.0
        held = await self._holder.begin(request, user, methods=methods, second_factor_at=proved_at)
        response = await self._flow.go_on(request, held, flow.target)
        self._cookies.finish(request, response, flow)
        return response

    async def _redeemed(self, request: Request, entry: SignInProvider, flow: Flow, came: Callback) -> Claims:
        try:
            async with asyncio.timeout(REDEEM_WITHIN):
                claims = await entry.provider.redeem(
                    code=came.code,
                    verifier=flow.verifier,
                    nonce=flow.nonce,
                    redirect_uri=self._redirect_uri(request, entry),
                    issuer=came.issuer,
                )
        except TimeoutError:
            raise ProviderError("unreachable", f"no answer within {REDEEM_WITHIN:g} s") from None
        if claims.provider != flow.provider:
            raise ProviderError("token_invalid", "the claims are another provider's")
        return claims

    async def _methods(self, claims: Claims, user: UserRecord, device: str | None) -> str:
        """What was proved, RFC 8176 names where there are any."""
        methods = f"{FEDERATED} {IDP}{claims.provider}"
        if claims.second_factor:
            return f"{methods} {PROVIDERS_FACTOR}"
        if user.second_factor and await self._second_factors.trusted(user, device):
            return f"{methods} {TRUSTED}"
        return methods

    async def _failed(
        self, request: Request, way: _Way, error: ProviderError | FederationRefused
    ) -> Response:
        """Tell the person in plain words, and the operator what to do. Nothing that came in is in either."""
        code = _code(error, way.name)
        message = message_of(code)
        vendor_code = error.vendor_code if isinstance(error, ProviderError) else ""
        context = context_of(request)
        log.warning(
            "sign-in at an identity provider failed",
            provider=way.name,
            code=code,
            vendor_code=vendor_code,
            detail=str(error),
            fix=_filled(message.operator, self._names(request, way.entry)),
            client=client_of(request),
            request_id=context.request_id,
        )
        if way.flow is not None and isinstance(error, ProviderError):  # a refusal of ours is written down
            await self._audit.record(
                EventKind.SIGN_IN_FAILED,
                actor=IDP + way.name,
                client=client_of(request),
                request_id=context.request_id,
                details={"provider": way.name, "reason": code, "vendor": vendor_code},
            )
        label = {"provider": way.entry.provider.label}
        response = self._pages.answer(
            request,
            "sso-error.html",
            status=message.status,
            headers=_HEADERS,
            title=_filled(self._locale.text(message.title), label),
            text=_filled(self._locale.text(message.text), label),
            vendor_code=vendor_code,
            next=way.target,
            back=f"{self._prefix}/login" + _next(way.target),
            # The provider lets whoever is signed in there through at once: without this, the same again.
            other=f"{self._prefix}/sso/{way.name}?choose=1" + _next(way.target).replace("?", "&", 1)
            if code in ANOTHER_ACCOUNT
            else "",
        )
        if way.flow is not None:
            self._cookies.finish(request, response, way.flow)
        return response

    def _entry(self, request: Request) -> SignInProvider:
        """The provider in the address. A HEAD would use up a code without anybody seeing a page."""
        if request.method != "GET":
            raise HTTPException(405)
        entry = self._providers.get(request.path_params["name"])
        if entry is None:
            raise HTTPException(404)
        return entry

    def _origin(self, request: Request) -> str:
        """Ours, under the host that the browser is at: its cookies are for that one alone."""
        facts = context_of(request).facts
        asked = "" if facts is None else origin_of(f"{facts.scheme}://{facts.host}")
        return asked if asked in self._origins else self._origins[0]

    def _redirect_uri(self, request: Request, entry: SignInProvider) -> str:
        return f"{self._origin(request)}{self._prefix}/sso/{entry.provider.name}/callback"

    def _names(self, request: Request, entry: SignInProvider) -> dict[str, Any]:
        return {
            "provider": entry.provider.label,
            "client_id": entry.client_id,
            "redirect_uri": self._redirect_uri(request, entry),
            "public_url": self._origin(request),
        }


def _code(error: ProviderError | FederationRefused, name: str) -> str:
    """The key of `providers.messages.MESSAGES`."""
    if isinstance(error, ProviderError):
        return error.code
    if error.reason == "unknown_user":
        return "aad_user_not_found" if name == MICROSOFT else "user_not_found"
    if error.reason == "groups_incomplete":
        return "groups_overage"
    return error.reason


def _filled(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def _next(target: str) -> str:
    return "" if target == "/" else f"?next={quote(target, safe='/')}"
