"""One whole sign-in at the test identity provider, by the provider's own class."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gatekeeper.providers.callback import parse_callback
from gatekeeper.providers.fetch import Fetcher
from gatekeeper.providers.microsoft import Microsoft, MicrosoftConfig
from gatekeeper.providers.oidc import Oidc, OidcConfig
from gatekeeper.providers.protocol import Claims, Provider, ProviderError
from tests.idp.directory import CLIENT_ID, PASSWORD, SECRET, TENANT
from tests.idp.server import Idp

ORIGIN = "https://app.example.com"
REDIRECT = f"{ORIGIN}/_gate/sso/microsoft/callback"


@dataclass
class Flow:
    """What a browser keeps of one sign-in."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def microsoft(idp: Idp, *, budget: float = 5.0, **changes: Any) -> Microsoft:
    """Registered as "Web" in one tenant, but for `changes`. To be called in the event loop."""
    config = MicrosoftConfig(
        client_id=CLIENT_ID, authority=idp.authority, tenant=TENANT, credential=SECRET
    )._replace(graph=idp.authority, **changes)
    return Microsoft(config, Fetcher(ca_file=idp.ca_file, budget=budget), lambda: idp.directory.clock())


def oidc(idp: Idp, *, budget: float = 5.0, **changes: Any) -> Oidc:
    """The same provider, by its issuer alone."""
    config = OidcConfig(
        name="other", label="Other", issuer=idp.issuer, client_id=CLIENT_ID, client_secret=SECRET
    )._replace(**changes)
    return Oidc(config, Fetcher(ca_file=idp.ca_file, budget=budget), lambda: idp.directory.clock())


async def walk(
    idp: Idp,
    provider: Provider,
    *,
    login: str = "pat@example.com",
    password: str = PASSWORD,
    flow: Flow | None = None,
) -> Claims:
    """Begin, sign in there, come back, redeem: as the pages do it."""
    flow = flow or Flow()
    address = await provider.begin(
        state=flow.state, nonce=flow.nonce, verifier=flow.verifier, redirect_uri=REDIRECT
    )
    query = await asyncio.to_thread(idp.callback, address, login, password)
    return await finish(provider, query, flow)


async def finish(provider: Provider, query: bytes, flow: Flow) -> Claims:
    """What the page does that the browser comes back to."""
    answer = parse_callback(query)
    if answer.state != flow.state:
        raise ProviderError("state_mismatch")
    answer.raise_failure()
    return await provider.redeem(
        code=answer.code,
        verifier=flow.verifier,
        nonce=flow.nonce,
        redirect_uri=REDIRECT,
        issuer=answer.issuer,
    )


def signed_in(
    idp: Idp, make: Callable[..., Provider] = microsoft, *, login: str = "pat@example.com", **changes: Any
) -> Claims:
    """The claims of somebody who signed in without trouble."""

    async def run() -> Claims:
        return await walk(idp, make(idp, **changes), login=login)

    return asyncio.run(run())


def refusal(
    idp: Idp, make: Callable[..., Provider] = microsoft, *, login: str = "pat@example.com", **changes: Any
) -> ProviderError:
    """The error that a sign-in ended with."""
    try:
        found = signed_in(idp, make, login=login, **changes)
    except ProviderError as error:
        return error
    raise AssertionError(f"{found} was believed")
