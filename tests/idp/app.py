"""The endpoints. https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.idp.directory import MANY, Directory, Grant, Registration
from tests.idp.pages import error_page, sign_in_form
from tests.idp.tokens import Refused, id_claims, proved_client, redeemed, token_answer

WRONG_CREDENTIALS = (
    "AADSTS50126: Error validating credentials due to invalid username or password. "
    "Your account or password is incorrect."
)
_FOREVER = 60.0
Endpoint = Callable[[Request], Awaitable[Response]]


class EntraId:
    """The application to serve; `base` is set when the port is known."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.base = ""
        self.app = Starlette(
            routes=[
                self._route("/{tenant}/v2.0/.well-known/openid-configuration", "discovery", self.discovery),
                self._route("/{tenant}/discovery/v2.0/keys", "jwks", self.jwks),
                self._route("/{tenant}/oauth2/v2.0/authorize", "authorize", self.authorize, "GET", "POST"),
                self._route("/{tenant}/oauth2/v2.0/token", "token", self.token, "POST"),
                self._route("/{tenant}/oauth2/v2.0/logout", "logout", self.logout),
                self._route("/oidc/userinfo", "userinfo", self.userinfo),
                self._route("/v1.0/me/checkMemberGroups", "graph", self.member_groups, "POST"),
            ]
        )

    def _route(self, path: str, name: str, endpoint: Endpoint, *methods: str) -> Route:
        async def answer(request: Request) -> Response:
            self.directory.asked.append(name)
            if name in self.directory.faults.silent:
                await asyncio.sleep(_FOREVER)
            response = await endpoint(request)
            response.headers["date"] = formatdate(self.directory.now, usegmt=True)
            return response

        return Route(path, answer, methods=list(methods) or ["GET"])

    async def discovery(self, request: Request) -> Response:
        name = request.path_params["tenant"]
        tenant = self.directory.tenant_of(name)
        if tenant is None:
            body = {
                "error": "invalid_tenant",
                "error_description": f"AADSTS90002: Tenant '{name}' not found.",
            }
            return JSONResponse(body, 400)
        who = "{tenantid}" if tenant in MANY else tenant
        document: dict[str, Any] = {
            "issuer": f"{self.base}/{who}/v2.0",
            "authorization_endpoint": f"{self.base}/{name}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.base}/{name}/oauth2/v2.0/token",
            "jwks_uri": f"{self.base}/{name}/discovery/v2.0/keys",
            "userinfo_endpoint": f"{self.base}/oidc/userinfo",
            "end_session_endpoint": f"{self.base}/{name}/oauth2/v2.0/logout",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code"],
        }
        change = self.directory.faults.discovery
        return _json(change(document) if change else document)

    async def jwks(self, _request: Request) -> Response:
        issuer = f"{self.base}/{{tenantid}}/v2.0"
        document = {"keys": [each.jwk(issuer) for each in self.directory.signers]}
        change = self.directory.faults.jwks
        return _json(change(document) if change else document)

    async def authorize(self, request: Request) -> Response:
        asked, directory = dict(request.query_params), self.directory
        registration = directory.registration(asked.get("client_id", ""))
        tenant = directory.tenant_of(request.path_params["tenant"])
        if registration is None or not (tenant in MANY or tenant in registration.tenants):
            return _unknown_application(asked.get("client_id", ""), request.path_params["tenant"])
        if asked.get("redirect_uri") not in registration.redirect_uris:
            text = (
                f"The redirect URI '{asked.get('redirect_uri', '')}' specified in the request does not match "
                f"the redirect URIs configured for the application '{registration.client_id}'."
            )
            return HTMLResponse(error_page("AADSTS50011", text), 400)
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return _back(asked, error="invalid_request", error_description="AADSTS9002325: PKCE is required.")
        if asked.get("prompt") == "none":
            return _back(asked, error="login_required", error_description="AADSTS50058: Nobody is signed in.")
        login, problem = asked.get("login_hint", ""), ""
        if request.method == "POST":
            form = {name: str(value) for name, value in (await request.form()).items()}
            answer = self._signed_in(asked, registration, form)
            if answer is not None:
                return answer
            login, problem = form.get("loginfmt", ""), WRONG_CREDENTIALS
        return HTMLResponse(sign_in_form(f"?{request.url.query}", login, problem))

    def _signed_in(
        self, asked: dict[str, str], registration: Registration, form: dict[str, str]
    ) -> Response | None:
        """What the form leads to; None when user name or password is wrong."""
        directory = self.directory
        if form.get("do") == "cancel":
            text = "AADSTS65004: User declined to consent to access the app."
            return self._answer(asked, error="access_denied", error_description=text)
        person = directory.person(form.get("loginfmt", ""), form.get("passwd", ""))
        if person is None:
            return None
        if person.refusal is not None:
            error, text = person.refusal
            return self._answer(asked, error=error, error_description=text)
        if person.tenant not in registration.tenants:
            return _unknown_application(registration.client_id, person.tenant)
        code = f"0.A{secrets.token_urlsafe(32)}"
        directory.grants[code] = Grant(
            person,
            registration,
            asked["redirect_uri"],
            asked.get("code_challenge", ""),
            asked.get("nonce", ""),
            set(asked.get("scope", "").split()),
            directory.now,
        )
        return self._answer(asked, code=code, session_state=secrets.token_hex(8))

    def _answer(self, asked: dict[str, str], **values: str) -> Response:
        change = self.directory.faults.callback
        if change is None:
            return _back(asked, **values)
        return RedirectResponse(
            f"{asked['redirect_uri']}?{change(values | {'state': asked['state']})}", status_code=302
        )

    async def token(self, request: Request) -> Response:
        directory, headers = self.directory, dict(request.headers)
        if directory.faults.token_answer is not None:
            status, body = directory.faults.token_answer
            return Response(body, status, media_type="application/json")
        form = {name: str(value) for name, value in (await request.form()).items()}
        try:
            registration = proved_client(directory, form, headers, str(request.url))
            grant = redeemed(directory, registration, form, headers)
        except Refused as error:
            body_of = {"error": error.error, "error_description": error.description, "error_codes": [0]}
            return JSONResponse(body_of, error.status)
        return JSONResponse(token_answer(directory, grant, self.base))

    async def userinfo(self, request: Request) -> Response:
        known = self.directory.access.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if known is None:
            return JSONResponse({"error": "invalid_token"}, 401)
        person, registration, _scopes = known
        grant = Grant(person, registration, "", "", "", {"profile"}, 0.0)
        document = {
            "sub": id_claims(self.directory, grant, self.base)["sub"],
            "preferred_username": person.upn,
            "name": person.name,
        }
        change = self.directory.faults.userinfo
        return _json(change(document) if change else document)

    async def member_groups(self, request: Request) -> Response:
        known = self.directory.access.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        scopes = known[2] if known else set()
        if known is None or not any(scope.endswith("/User.Read") for scope in scopes):
            return JSONResponse({"error": {"code": "Authorization_RequestDenied"}}, 403)
        if self.directory.faults.graph_status != 200:
            return JSONResponse({"error": {}}, self.directory.faults.graph_status)
        asked = (await request.json())["groupIds"]
        if len(asked) > 20:
            return JSONResponse({"error": {"code": "Request_BadRequest"}}, 400)
        return JSONResponse({"value": [group for group in asked if group in known[0].groups]})

    async def logout(self, request: Request) -> Response:
        return RedirectResponse(request.query_params.get("post_logout_redirect_uri", self.base), 302)


def _unknown_application(client_id: str, directory: str) -> Response:
    text = f"Application with identifier '{client_id}' was not found in the directory '{directory}'."
    return HTMLResponse(error_page("AADSTS700016", text), 400)


def _back(asked: dict[str, str], **values: str) -> Response:
    return RedirectResponse(
        f"{asked['redirect_uri']}?{urlencode(values | {'state': asked.get('state', '')})}", status_code=302
    )


def _json(document: Any) -> Response:
    if isinstance(document, bytes):
        return Response(document, media_type="application/json")
    return JSONResponse(document)
