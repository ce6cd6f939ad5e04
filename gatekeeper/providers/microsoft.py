"""Microsoft Entra ID, by MSAL: the authorization code flow with PKCE.

MSAL builds the requests and proves who we are; it does no I/O of its own (`msal_wire`) and keeps nothing: an
application object lives for one step of one person's sign-in. What it does not do is checking the ID token:
that is done here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import msal

from gatekeeper.core.clock import Clock
from gatekeeper.core.origins import origin_of
from gatekeeper.providers.codes import failure_of
from gatekeeper.providers.discovery import Discovery, Metadata
from gatekeeper.providers.fetch import Fetcher, within
from gatekeeper.providers.graph import member_of
from gatekeeper.providers.id_token import (
    Expected,
    authenticated_at,
    check_claims,
    read_header,
    refuse,
    verify_signature,
)
from gatekeeper.providers.keys import Keys
from gatekeeper.providers.msal_wire import Wire
from gatekeeper.providers.pkce import challenge
from gatekeeper.providers.protocol import Claims, ProviderError
from gatekeeper.providers.roles import RoleRule, groups_in, left_out, roles_of, text, texts
from gatekeeper.providers.tenants import GUID, TenantOf, issuer_pattern

T = TypeVar("T")

NAME = "microsoft"
_THREADS = 16
"""Codes that are redeemed at once: each waits in one for the provider's answer."""
_MANY_TENANTS = "{tenantid}"


class Certificate(NamedTuple):
    """PEM texts of what was uploaded to the registration, and of its private key."""

    certificate: str
    private_key: str


class MicrosoftConfig(NamedTuple):
    """A registration at Entra ID, and what is believed of it."""

    client_id: str
    authority: str = "https://login.microsoftonline.com"
    tenant: str = "organizations"
    allowed_tenants: frozenset[str] = frozenset()
    """Ids; with none, the tenant that the domain of the user principal name belongs to."""
    credential: str | Certificate | None = None
    """A client secret or a certificate ("Web"); None for a single-page registration."""
    label: str = "Microsoft"
    prompt: str | None = None
    domain_hint: str | None = None
    roles: tuple[RoleRule, ...] = ()
    graph: str = "https://graph.microsoft.com"
    read_groups: bool = False
    """Ask Graph when a token leaves groups out because there are too many."""
    second_factor: frozenset[str] = frozenset()
    """Values of `amr`, `acr` and `acrs` that count as a second factor."""


class Microsoft:
    """Entra ID as a `Provider`. To be made inside the event loop that uses it."""

    name = NAME

    def __init__(self, config: MicrosoftConfig, fetcher: Fetcher, clock: Clock) -> None:
        self._config = config
        self.fetcher = fetcher
        self._clock = clock
        self._authority = f"{config.authority}/{config.tenant}"
        pattern = issuer_pattern(config.authority, config.tenant)
        self.discovery = Discovery(
            f"{self._authority}/v2.0/.well-known/openid-configuration",
            fetcher,
            clock,
            accept_issuer=lambda issuer: pattern.fullmatch(issuer) is not None,
        )
        self.keys = Keys(fetcher, clock)
        self._tenant_of = TenantOf(config.authority, fetcher, clock)
        self._addresses: dict[str, tuple[Metadata, str]] = {}
        """By redirect URI, of which there is one for each host of ours."""
        # Its own: the default one also looks up host names, which those who wait in here wait for.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="msal")

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
            address = await self._address(redirect_uri)
        more = {"login_hint": login_hint} if login_hint else {}
        if choose:
            more["prompt"] = "select_account"
        return _replaced(
            address,
            **more,
            state=state,
            nonce=_nonce_sent(nonce),
            code_challenge=challenge(verifier),
            # A form posted from another site would not carry the flow's cookie, which is SameSite=Lax. A code
            # in the address is worth nothing without the verifier in that cookie, and once used.
            response_mode="query",
        )

    async def _address(self, redirect_uri: str) -> str:
        """Where everybody goes who comes back to `redirect_uri`, but for what belongs to one flow.

        MSAL is asked once: anybody may press the button, and its threads may all be waiting for answers.
        """
        metadata, config = await self.discovery.metadata(), self._config
        known, address = self._addresses.get(redirect_uri, (None, ""))
        if known == metadata:
            return address

        def build(app: msal.ClientApplication) -> str:
            flow = app.initiate_auth_code_flow(
                self._scopes(),
                redirect_uri=redirect_uri,
                state="-",
                prompt=config.prompt,
                domain_hint=config.domain_hint,
                response_mode="form_post",  # replaced, as is the state; MSAL warns about every other
            )
            return str(flow["auth_uri"])

        address = await self._with_msal(self._wire(metadata, redirect_uri), build)
        self._addresses[redirect_uri] = (metadata, address)
        return address

    async def redeem(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, issuer: str = ""
    ) -> Claims:
        flow = {
            "state": "-",
            "redirect_uri": redirect_uri,
            "scope": [*self._scopes(), "openid", "profile"],
            "code_verifier": verifier,
            "nonce": nonce,
        }

        def exchange(app: msal.ClientApplication) -> dict[str, Any]:
            return dict(app.acquire_token_by_auth_code_flow(flow, {"state": "-", "code": code}))

        async with within(self.fetcher.budget):
            metadata = await self.discovery.metadata()
            wire = self._wire(metadata, redirect_uri)
            answer = await self._with_msal(wire, exchange)
            if "error" in answer:
                failure, vendor_code = failure_of(
                    str(answer["error"]), str(answer.get("error_description", ""))
                )
                raise ProviderError(failure, "the token endpoint refused the code", vendor_code=vendor_code)
            token = answer.get("id_token")
            claims = await self._verified(token, metadata, nonce, wire.date)
            return await self._meaning(claims, str(answer.get("access_token", "")))

    def end_session_url(self, *, return_to: str) -> str | None:
        known = self.discovery.known
        if known is None or known.end_session_endpoint is None:
            return None
        mark = "&" if urlsplit(known.end_session_endpoint).query else "?"
        return f"{known.end_session_endpoint}{mark}{urlencode({'post_logout_redirect_uri': return_to})}"

    def _scopes(self) -> list[str]:
        return [f"{self._config.graph}/User.Read"] if self._config.read_groups else ["email"]

    def _wire(self, metadata: Metadata, redirect_uri: str) -> Wire:
        loop = asyncio.get_running_loop()
        # A registration with a secret is of the kind "Web", which is refused with an Origin (AADSTS9002326).
        # The code of a single-page registration is redeemed only with that of its page (AADSTS9002327).
        origin = origin_of(redirect_uri) if self._config.credential is None else ""
        return Wire(loop, self.fetcher, metadata, self.discovery.url, origin=origin)

    async def _with_msal(self, wire: Wire, work: Callable[[msal.ClientApplication], T]) -> T:
        """Do `work` with an application of its own, in a thread."""

        def run() -> T:
            try:
                return work(self._application(wire))
            except ProviderError:
                raise
            except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OSError) as error:
                # MSAL's texts hold what was received: neither they nor their tracebacks go further.
                raise refuse(f"MSAL could not use the answer ({type(error).__name__})") from None
            except msal.exceptions.MsalError as error:
                raise refuse(f"MSAL could not use the answer ({type(error).__name__})") from None

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    def _application(self, wire: Wire) -> msal.ClientApplication:
        config = self._config
        credential: str | dict[str, str] | None
        if isinstance(config.credential, Certificate):
            credential = {
                "private_key": config.credential.private_key,
                "public_certificate": config.credential.certificate,
            }
        else:
            credential = config.credential
        kind = msal.PublicClientApplication if credential is None else msal.ConfidentialClientApplication
        return kind(
            config.client_id,
            client_credential=credential,
            authority=self._authority,
            instance_discovery=False,
            azure_region=False,
            http_client=wire,
            exclude_scopes=["offline_access"],
        )

    async def _verified(
        self, token: Any, metadata: Metadata, nonce: str, provider_time: float | None
    ) -> dict[str, Any]:
        """The claims of an ID token that is all it should be."""
        header = read_header(token)
        key = await self.keys.find(metadata.jwks_uri, header.kid)
        claims = verify_signature(token, key)
        tenant = claims.get("tid")
        if not isinstance(tenant, str) or not GUID.fullmatch(tenant):
            raise refuse("the ID token names no tenant (tid)")
        issuer = metadata.issuer.replace(_MANY_TENANTS, tenant)
        if key is not None and key.issuer and key.issuer.replace(_MANY_TENANTS, tenant) != issuer:
            raise refuse("the ID token is signed with a key for another issuer")
        expected = Expected(self._config.client_id, _nonce_sent(nonce), issuer)
        check_claims(claims, expected, self._clock(), provider_time=provider_time)
        if tenant not in issuer:
            raise refuse("the ID token's tenant is not its issuer's (tid)")
        await self._check_tenant(metadata, tenant.lower(), _login(claims))
        return claims

    async def _check_tenant(self, metadata: Metadata, tenant: str, login: str) -> None:
        """Whether somebody of this tenant may be who they say.

        Anybody can have a tenant, and name people in it as they like. So it must be one that was chosen, or
        the one in which the domain of the name was proved to be theirs.
        """
        if _MANY_TENANTS not in metadata.issuer:
            return
        if self._config.allowed_tenants:
            allowed = tenant in self._config.allowed_tenants
        else:
            allowed = await self._tenant_of.domain(login.rpartition("@")[2]) == tenant
        if not allowed:
            raise ProviderError("tenant_not_allowed", f"the tenant {tenant} may not sign in here")

    async def _meaning(self, claims: dict[str, Any], access_token: str) -> Claims:
        """What verified claims mean to us."""
        config = self._config
        person = claims.get("oid")
        if not isinstance(person, str) or not GUID.fullmatch(person):
            raise refuse("the ID token does not say whom it is about (oid)")
        return Claims(
            provider=NAME,
            subject=f"{claims['tid']}:{person}".lower(),
            login=_login(claims),
            name=text(claims, "name"),
            email=text(claims, "email"),
            roles=roles_of(
                config.roles, await self._groups(claims, access_token), texts(claims.get("roles"))
            ),
            second_factor=not config.second_factor.isdisjoint(
                texts(claims.get("amr")) | texts(claims.get("acr")) | texts(claims.get("acrs"))
            ),
            authenticated_at=authenticated_at(claims),
        )

    async def _groups(self, claims: dict[str, Any], access_token: str) -> frozenset[str]:
        wanted = groups_in(self._config.roles)
        if not wanted or not left_out(claims, "groups"):
            return texts(claims.get("groups"))
        if not self._config.read_groups or not access_token:
            raise ProviderError("groups_overage", "the token leaves groups out, and read_groups is off")
        return await member_of(self.fetcher, self._config.graph, access_token, wanted)


def _nonce_sent(nonce: str) -> str:
    """MSAL sends the hash of a nonce, and compares the token's with that."""
    return hashlib.sha256(nonce.encode("ascii")).hexdigest()


def _replaced(address: str, **values: str) -> str:
    """`address` with our values in place of the random ones that MSAL made for itself."""
    parts = urlsplit(address)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if name not in values]
    return parts._replace(query=urlencode([*kept, *values.items()])).geturl()


def _login(claims: dict[str, Any]) -> str:
    """The user principal name: `upn` where the registration adds it, else what Entra ID shows it as."""
    return text(claims, "upn") or text(claims, "preferred_username")
