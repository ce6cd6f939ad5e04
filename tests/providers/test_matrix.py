"""Every forged or broken token, callback and answer is refused by every provider, and never repeated."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gatekeeper.providers.messages import MESSAGES
from gatekeeper.providers.protocol import ProviderError
from tests.idp.server import Idp
from tests.providers.matrix import CASES, MARKUP
from tests.providers.support import REDIRECT, Flow, finish, microsoft, oidc, refusal, signed_in


@pytest.mark.parametrize("name", CASES)
def test_entra_id(idp: Idp, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    case = CASES[name]
    case.spoil(idp.directory)
    error = refusal(idp, microsoft)
    assert error.code == case.code, error
    assert error.code in MESSAGES
    assert not case.vendor_code or error.vendor_code == case.vendor_code
    assert "script" not in f"{error} {error.vendor_code}"
    assert error.__cause__ is None or "script" not in str(error.__cause__)
    assert MARKUP not in caplog.text


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.entra])
def test_any_other_provider(idp: Idp, name: str) -> None:
    case = CASES[name]
    case.spoil(idp.directory)
    error = refusal(idp, oidc)
    assert error.code == case.code, error
    assert "script" not in f"{error} {error.vendor_code}"


def test_without_anything_wrong_both_let_people_in(idp: Idp) -> None:
    assert signed_in(idp, microsoft).login == "pat@example.com"
    assert signed_in(idp, oidc).login == "pat@example.com"
    assert len(CASES) >= 40


@pytest.mark.parametrize("make", [microsoft, oidc])
def test_a_code_counts_once(idp: Idp, make: object) -> None:
    async def run() -> ProviderError:
        provider = (microsoft if make is microsoft else oidc)(idp)
        flow = Flow()
        address = await provider.begin(
            state=flow.state, nonce=flow.nonce, verifier=flow.verifier, redirect_uri=REDIRECT
        )
        query = await asyncio.to_thread(idp.callback, address)
        await finish(provider, query, flow)
        with pytest.raises(ProviderError) as refused:
            await finish(provider, query, flow)
        return refused.value

    error = asyncio.run(run())
    assert (error.code, error.vendor_code) == ("flow_expired", "AADSTS54005")


@pytest.mark.parametrize("make", [microsoft, oidc])
def test_a_code_of_somebody_elses_flow_is_worth_nothing(idp: Idp, make: object) -> None:
    """Their verifier and nonce are in their browser: RFC 9700 section 2.1.1."""

    async def run() -> ProviderError:
        provider = (microsoft if make is microsoft else oidc)(idp)
        victim, attacker = Flow(), Flow()
        address = await provider.begin(
            state=attacker.state, nonce=attacker.nonce, verifier=attacker.verifier, redirect_uri=REDIRECT
        )
        query = await asyncio.to_thread(idp.callback, address)
        swapped = query.replace(attacker.state.encode(), victim.state.encode())
        with pytest.raises(ProviderError) as refused:
            await finish(provider, swapped, victim)
        return refused.value

    error = asyncio.run(run())
    assert (error.code, error.vendor_code) == ("state_mismatch", "AADSTS501481")
