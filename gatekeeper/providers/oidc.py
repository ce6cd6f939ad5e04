"""Any OpenID Connect provider by its issuer: discovery, authorization code flow with PKCE, verified ID token.

OpenID Connect Core 1.0, RFC 7636 (PKCE), RFC 9207 (issuer of the callback), RP-Initiated Logout 1.0.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit

from gatekeeper.core.clock import Clock
from gatekeeper.providers.codes import failure_of
from gatekeeper.providers.discovery import Discovery, Metadata
from gatekeeper.providers.fetch import Answer, Fetcher, within
from gatekeeper.providers.id_token import (
    Expected,
    authenticated_at,
    check_claims,
    read_header,
    refuse,
    verify_signature,
)
from gatekeeper.providers.keys import Keys
from gatekeeper.providers.pkce import challenge
from gatekeeper.providers.protocol import Claims, ProviderError
from gatekeeper.providers.roles import RoleRule, groups_in, left_out, roles_of, text, texts


class ClaimNames(NamedTuple):
    """What a provider calls the things that are looked for; "" is not looked for."""

    login: str = "preferred_username"
    name: str = "name"
    email: str = "email"
    groups: str = "groups"


class OidcConfig(NamedTuple):
    """A registration at a provider, and what is believed of it."""

    name: str
    label: str
    issuer: str
    client_id: str
    client_secret: str | None = None
    """None for a public client: PKCE alone."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    claims: ClaimNames = ClaimNames()
    roles: tuple[RoleRule, ...] = ()
    second_factor: frozenset[str] = frozenset()
    """Values of `amr` and `acr` that count as a second factor."""
    allow_http: bool = False
    """Accept http:// on this machine: for tests."""


class Oidc:
    """One entry of `oidc` as a `Provider`. To be made inside the event loop that uses it."""

    def __init__(self, config: OidcConfig, fetcher: Fetcher, clock: Clock) -> None:
        self._config = config
        self.fetcher = fetcher
        self._clock = clock
        self.discovery = Discovery(
            config.issuer.rstrip("/") + "/.well-known/openid-configuration",
            fetcher,
            clock,
            accept_issuer=lambda issuer: issuer == config.issuer,
            allow_http=config.allow_http,
        )
        self.keys = Keys(fetcher, clock)

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def label(self) -> str:
        return self._config.label

    async def begin(
        self,
        *,
        state: str,
        nonce: str,
        verifier: str,
        redirect_uri: str,
        login_hint: str = "",
        choose: bool = False,
    ) -> str:
        async with within(self.fetcher.budget):
            metadata = await self.discovery.metadata()
        asked = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._config.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
        }
        if login_hint:
            asked["login_hint"] = login_hint
        if choose:  # not every provider knows a page to choose at; signing in anew is known to all
            asked["prompt"] = "select_account" if "select_account" in metadata.prompts else "login"
        return _with_query(metadata.authorization_endpoint, asked)

    async def redeem(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, issuer: str = ""
    ) -> Claims:
        async with within(self.fetcher.budget):
            metadata = await self.discovery.metadata()
            if issuer != metadata.issuer and (issuer or metadata.sends_issuer):
                raise ProviderError("callback_invalid", "the callback is from another issuer (iss)")
            answer = await self._exchange(metadata, code, verifier, redirect_uri)
            tokens = _usable(answer)
            claims = await self._verified(tokens.get("id_token"), metadata, nonce, answer.date)
            if self._incomplete(claims) and metadata.userinfo_endpoint:
                more = await self._userinfo(metadata.userinfo_endpoint, tokens.get("access_token"), claims)
                claims = {**more, **claims}
        return self._meaning(claims)

    def end_session_url(self, *, return_to: str) -> str | None:
        known = self.discovery.known
        if known is None or known.end_session_endpoint is None:
            return None
        asked = {"client_id": self._config.client_id, "post_logout_redirect_uri": return_to}
        return _with_query(known.end_session_endpoint, asked)

    async def _exchange(self, metadata: Metadata, code: str, verifier: str, redirect_uri: str) -> Answer:
        config = self._config
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        if config.client_secret is None:
            form["client_id"] = config.client_id
        elif "client_secret_basic" in metadata.auth_methods:
            # RFC 6749 section 2.3.1: encoded as in a form before it is joined.
            pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret)}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        elif "client_secret_post" in metadata.auth_methods:
            form |= {"client_id": config.client_id, "client_secret": config.client_secret}
        else:
            raise ProviderError("discovery_invalid", "the provider takes no client secret, neither way")
        return await self.fetcher.post_form(metadata.token_endpoint, form, headers)

    async def _verified(
        self, token: Any, metadata: Metadata, nonce: str, provider_time: float | None
    ) -> dict[str, Any]:
        header = read_header(token)
        claims = verify_signature(token, await self.keys.find(metadata.jwks_uri, header.kid))
        expected = Expected(self._config.client_id, nonce, metadata.issuer)
        check_claims(claims, expected, self._clock(), provider_time=provider_time)
        return claims

    def _incomplete(self, claims: dict[str, Any]) -> bool:
        names = self._config.claims
        needed = [names.login, *([names.groups] if groups_in(self._config.roles) else [])]
        return any(name and name not in claims for name in needed)

    async def _userinfo(self, url: str, access_token: Any, claims: dict[str, Any]) -> dict[str, Any]:
        """More about the same person. OpenID Connect Core 5.3.4: only with the same `sub`."""
        if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
            raise refuse("there is no access token for userinfo")
        answer = await self.fetcher.get(url, bearer=access_token)
        if answer.status != 200:
            raise ProviderError("provider_busy", f"userinfo was answered {answer.status}")
        try:
            more = answer.json_object()
        except ValueError as error:
            raise refuse(f"userinfo: {error}") from None
        if more.get("sub") != claims["sub"]:
            raise refuse("userinfo is about somebody else (sub)")
        return more

    def _meaning(self, claims: dict[str, Any]) -> Claims:
        config, names = self._config, self._config.claims
        wanted = groups_in(config.roles)
        if wanted and left_out(claims, names.groups):
            raise ProviderError("groups_overage", "the token leaves groups out")
        if "email" in (names.login, names.email) and claims.get("email_verified") is False:
            claims = {name: value for name, value in claims.items() if name != "email"}
        if names.login == "email" and claims.get("email_verified") is not True:
            raise ProviderError("email_unverified", "accounts are found by email, which is not verified")
        groups = texts(claims.get(names.groups)) if wanted else frozenset[str]()
        return Claims(
            provider=config.name,
            subject=str(claims["sub"]),
            login=text(claims, names.login),
            name=text(claims, names.name),
            email=text(claims, names.email),
            roles=roles_of(config.roles, groups, frozenset()),
            second_factor=bool(config.second_factor)
            and not config.second_factor.isdisjoint(texts(claims.get("amr")) | texts(claims.get("acr"))),
            authenticated_at=authenticated_at(claims),
        )


def _usable(answer: Answer) -> dict[str, Any]:
    """The token endpoint's answer when it is a success (RFC 6749 sections 5.1 and 5.2)."""
    if answer.status >= 500 or answer.status == 429:
        raise ProviderError("provider_busy", f"the token endpoint answered {answer.status}")
    try:
        tokens = answer.json_object()
    except ValueError as error:
        raise refuse(f"the token endpoint: {error}") from None
    if answer.status != 200 or "error" in tokens:
        failure, vendor_code = failure_of(
            str(tokens.get("error", "")), str(tokens.get("error_description", ""))
        )
        raise ProviderError(failure, "the token endpoint refused the code", vendor_code=vendor_code)
    return tokens


def _with_query(url: str, values: dict[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(values)}"
