"""A provider that is down, slow or not who it should be costs five seconds at most, and says so."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from gatekeeper.providers.fetch import BUDGET, Fetcher
from gatekeeper.providers.microsoft import Microsoft, MicrosoftConfig
from gatekeeper.providers.oidc import Oidc, OidcConfig
from gatekeeper.providers.protocol import ProviderError
from tests.idp.directory import CLIENT_ID, TENANT
from tests.idp.server import Idp
from tests.providers.support import REDIRECT, Flow, microsoft, oidc, refusal, walk


@pytest.mark.parametrize("make", [microsoft, oidc])
@pytest.mark.parametrize("endpoint", ["discovery", "token", "jwks"])
def test_an_endpoint_that_never_answers(idp: Idp, endpoint: str, make: object) -> None:
    idp.directory.faults.silent = {endpoint}
    began = time.monotonic()
    error = refusal(idp, microsoft if make is microsoft else oidc, budget=0.4)
    assert error.code == "unreachable"
    assert time.monotonic() - began < 3.0
    assert BUDGET == 5.0


def test_slow_answers_to_others_keep_nobody_from_going_there(idp: Idp) -> None:
    """However many codes are being redeemed: the button does not wait for them."""

    async def run() -> float:
        provider = microsoft(idp, budget=2.0)
        await walk(idp, provider)
        idp.directory.faults.silent = {"token"}
        flow = Flow()
        sent = {"verifier": flow.verifier, "nonce": flow.nonce, "redirect_uri": REDIRECT}
        redeems = asyncio.gather(
            *(provider.redeem(code=f"c{number}", **sent) for number in range(40)), return_exceptions=True
        )
        while idp.directory.asked.count("token") < 5:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        await provider.begin(state="s", nonce="n", verifier=flow.verifier, redirect_uri=REDIRECT)
        took = time.monotonic() - began
        for answer in await redeems:
            assert isinstance(answer, ProviderError) and answer.code == "unreachable"
        return took

    assert asyncio.run(run()) < 1.0


@pytest.mark.parametrize("kind", ["microsoft", "oidc"])
def test_nobody_there(kind: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        place = f"https://127.0.0.1:{listener.getsockname()[1]}"

        async def run() -> None:
            fetcher = Fetcher()
            provider = (
                Microsoft(MicrosoftConfig(CLIENT_ID, place), fetcher, time.time)
                if kind == "microsoft"
                else Oidc(OidcConfig("other", "Other", place, CLIENT_ID), fetcher, time.time)
            )
            await provider.begin(state="s", nonce="n", verifier="v" * 43, redirect_uri=REDIRECT)

        with pytest.raises(ProviderError) as refused:
            asyncio.run(run())
    assert refused.value.code == "unreachable"


def test_a_certificate_of_nobody_we_know(idp: Idp) -> None:
    async def run() -> None:
        provider = Microsoft(MicrosoftConfig(CLIENT_ID, idp.authority, TENANT), Fetcher(), time.time)
        await provider.begin(state="s", nonce="n", verifier="v" * 43, redirect_uri=REDIRECT)

    with pytest.raises(ProviderError, match="certificate is not trusted") as refused:
        asyncio.run(run())
    assert refused.value.code == "unreachable"


def test_the_environments_proxy_is_not_asked(idp: Idp, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    assert asyncio.run(walk(idp, microsoft(idp))).login == "pat@example.com"


def test_what_is_known_lasts_a_day_without_the_provider(idp: Idp) -> None:
    now = 1_800_000_000.0
    idp.directory.clock = lambda: now

    async def begin(provider: Oidc) -> str:
        flow = Flow()
        return await provider.begin(
            state=flow.state, nonce=flow.nonce, verifier=flow.verifier, redirect_uri=REDIRECT
        )

    async def run() -> None:
        nonlocal now
        provider = oidc(idp, budget=3.0)
        await begin(provider)
        await begin(provider)
        assert idp.directory.asked == ["discovery"]
        now += 3_601.0
        idp.directory.faults.silent = {"discovery"}
        await begin(provider)
        await begin(provider)
        assert idp.directory.asked == ["discovery"] * 2, "one attempt a minute"
        idp.directory.faults.silent = set()
        now += 61.0
        await begin(provider)
        assert idp.directory.asked == ["discovery"] * 3
        now += 86_401.0
        idp.directory.faults.silent = {"discovery"}
        with pytest.raises(ProviderError) as refused:
            await begin(oidc(idp, budget=0.3))
        assert refused.value.code == "unreachable"

    asyncio.run(run())


def test_nothing_but_its_own_authority_is_trusted(idp: Idp, tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("")
    with pytest.raises(OSError, match=r"(?i)certificate|no start line|x509"):
        Fetcher(ca_file=empty)
    assert Fetcher(ca_file=idp.ca_file).budget == BUDGET
