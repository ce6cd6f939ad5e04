"""What every identity provider can do, what it says about a person, and how it fails."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gatekeeper.core.errors import GatekeeperError


class Claims(NamedTuple):
    """What a provider says about a person, verified. Nothing in it was typed by that person here."""

    provider: str
    """The provider's name in our addresses: "microsoft", or that of an entry of `oidc`."""
    subject: str
    """Never changes and is never given to anybody else: `sub`, or `tid:oid` of Entra ID."""
    login: str
    """What the account is found by at the first sign-in; may be given to another person later. May be ""."""
    name: str = ""
    email: str = ""
    roles: frozenset[str] = frozenset()
    """Ours, by the configured mapping; empty when none is configured."""
    second_factor: bool = False
    """The provider says that it asked for one, and the configuration says that this counts."""
    authenticated_at: float = 0.0
    """When the provider last asked the person for anything (`auth_time`), in seconds since the epoch. 0.0
    when it does not say: who is signed in there comes back at once, with a proof that may be days old."""
    groups_complete: bool = True
    """False when the provider did not say all groups; `roles` is then not to be taken for everything."""


class ProviderError(GatekeeperError):
    """A sign-in at a provider that came to nothing.

    `reason` is a key of `messages.MESSAGES`. `vendor_code` is what the provider calls it, such as
    "AADSTS65001", or "". `str(error)` is ours: what a provider or a browser sent is never in it.
    """

    reason = "provider_error"

    def __init__(self, reason: str, detail: str = "", *, vendor_code: str = "") -> None:
        super().__init__(detail, reason=reason)
        self.vendor_code = vendor_code

    @property
    def code(self) -> str:
        """The same as `reason`."""
        return self.reason


class Provider(Protocol):
    """One identity provider. Everything here answers within `fetch.BUDGET` seconds.

    Nothing is kept between two people's sign-ins but what the provider publishes for everybody
    (its addresses and keys).
    """

    @property
    def name(self) -> str:
        """Its name in our addresses, in logs and in `Claims.provider`: lower-case letters, digits, `-`."""

    @property
    def label(self) -> str:
        """What its button says after "Sign in with", such as "Microsoft"; or the whole button."""

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
        """The address to send the browser to; with `choose` to where a person takes another account.

        `state`, `nonce` and `verifier` (43 to 128 characters of base64url, RFC 7636 section 4.1) belong to
        this flow alone; the browser keeps them. Raises `ProviderError` ("unreachable", "discovery_invalid").
        """

    async def redeem(
        self, *, code: str, verifier: str, nonce: str, redirect_uri: str, issuer: str = ""
    ) -> Claims:
        """Who came back with `code`, to be called once for a code, after its state was checked.

        `issuer` is the callback's `iss` (RFC 9207). Raises `ProviderError`.
        """

    def end_session_url(self, *, return_to: str) -> str | None:
        """Where a browser signs out at the provider, too (RP-initiated logout); None without such a place.

        `return_to` is where it comes back to, which must be registered there.
        """
