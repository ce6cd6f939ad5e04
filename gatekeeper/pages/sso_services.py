"""What the pages are given about identity providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gatekeeper.core.session import UserRecord
from gatekeeper.providers.protocol import Claims, Provider

IDP = "idp:"
"""In `SessionRecord.methods`, with the provider's name: who vouched for the person."""


class Federation(Protocol):
    """`accounts.federation.Federation`: raises FederationRefused, Overloaded, StoreUnavailable."""

    async def sign_in(
        self, claims: Claims, *, device: str | None, client: str, request_id: str
    ) -> UserRecord: ...


class ProviderFlows(Protocol):
    """`accounts.provider_flows.ProviderFlows`: raises RateLimited, StoreUnavailable."""

    async def use(
        self, state: str, *, provider: str, expires_at: float, client: str, request_id: str
    ) -> bool:
        """Whether this is the first time that the flow comes back."""


class SignInProvider(NamedTuple):
    """One identity provider on the sign-in page."""

    provider: Provider
    button: str = ""
    """The button's words; "" means the translated "Sign in with" and the provider's label."""
    client_id: str = ""
    """For the operator's log."""
    sign_out: bool = False
    """Whether signing out here goes on to signing out there."""


class ProviderServices(NamedTuple):
    """All of them, in the order of their buttons."""

    providers: Sequence[SignInProvider]
    federation: Federation | None
    """None only where there are no providers."""
    flows: ProviderFlows | None


NO_PROVIDERS = ProviderServices((), None, None)
