"""An identity provider behind its protocol, for stories about pages alone; a real one is in tests/idp."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from gatekeeper.pages.sso_services import SignInProvider
from gatekeeper.providers.protocol import Claims
from tests.pages.support import ADA


class FakeProvider:
    """Knows one person, who comes back with the code "good"."""

    def __init__(self, name: str = "microsoft", label: str = "Microsoft") -> None:
        self.name = name
        self.label = label
        self.claims = Claims(name, "tid:oid", ADA.login)
        self.begin_fails_with: Exception | None = None
        self.redeem_fails_with: Exception | None = None
        self.silent = False
        """Never answers."""
        self.begun: list[dict[str, str]] = []
        self.redeemed: list[dict[str, str]] = []

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
        if self.silent:
            await asyncio.Event().wait()
        if self.begin_fails_with is not None:
            raise self.begin_fails_with
        sent = {"state": state, "nonce": nonce, "verifier": verifier, "redirect_uri": redirect_uri}
        self.begun.append(sent | ({"choose": "yes"} if choose else {}))
        return "https://login.example/authorize?" + urlencode({"state": state, "nonce": nonce})

    async def redeem(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, issuer: str = ""
    ) -> Claims:
        if self.redeem_fails_with is not None:
            raise self.redeem_fails_with
        self.redeemed.append(
            {"code": code, "verifier": verifier, "nonce": nonce, "redirect_uri": redirect_uri}
        )
        return self.claims

    def end_session_url(self, *, return_to: str) -> str | None:
        return "https://login.example/logout?" + urlencode({"post_logout_redirect_uri": return_to})


def entry(
    provider: FakeProvider | None = None, *, button: str = "", sign_out: bool = False
) -> SignInProvider:
    return SignInProvider(provider or FakeProvider(), button, "11111111-client", sign_out)
