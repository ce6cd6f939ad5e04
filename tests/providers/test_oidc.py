"""Any OpenID Connect provider by its issuer: what the discovery document says is done, to the letter."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gatekeeper.providers.oidc import ClaimNames
from gatekeeper.providers.protocol import ProviderError
from gatekeeper.providers.roles import RoleRule
from tests.idp.directory import CLIENT_ID, TENANT, curve_signer
from tests.idp.server import Idp
from tests.providers.matrix import publishing, saying
from tests.providers.support import ORIGIN, REDIRECT, Flow, finish, oidc, refusal, signed_in, walk


def test_an_issuer_is_all_that_must_be_known(idp: Idp) -> None:
    claims = signed_in(idp, oidc)
    assert (claims.provider, claims.login, claims.name) == ("other", "pat@example.com", "Pat Example")
    assert claims.subject
    assert TENANT not in claims.subject
    assert not claims.second_factor


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_secret_goes_the_way_that_the_provider_takes(idp: Idp, method: str) -> None:
    idp.directory.faults.discovery = publishing(token_endpoint_auth_methods_supported=[method])
    secret = "a b&c=d:é%"
    idp.directory.registrations[0].secret = secret
    assert signed_in(idp, oidc, client_secret=secret).login == "pat@example.com"
    wrong = refusal(idp, oidc, client_secret="wrong")
    assert (wrong.code, wrong.vendor_code) == ("secret_invalid", "AADSTS7000215")


def test_a_provider_that_takes_no_secret_gets_none(idp: Idp) -> None:
    idp.directory.faults.discovery = publishing(token_endpoint_auth_methods_supported=["private_key_jwt"])
    assert refusal(idp, oidc).code == "discovery_invalid"
    assert "token" not in idp.directory.asked


def test_a_key_on_a_curve(idp: Idp) -> None:
    idp.directory.signers = [curve_signer("curve")]
    assert signed_in(idp, oidc).login == "pat@example.com"


def test_a_token_without_a_key_name_when_there_is_one_key(idp: Idp) -> None:
    idp.directory.faults.token = lambda claims, key: key.sign(claims, kid=None)
    assert signed_in(idp, oidc).login == "pat@example.com"
    idp.directory.signers.append(curve_signer("second"))
    assert refusal(idp, oidc).code == "token_invalid"


@pytest.mark.parametrize(
    ("sent", "announced", "believed"),
    [
        ("the issuer", True, True),
        ("the issuer", False, True),
        ("", False, True),
        ("", True, False),
        ("https://attacker.example.com", True, False),
        ("https://attacker.example.com", False, False),
    ],
)
def test_a_callback_names_its_issuer(idp: Idp, sent: str, announced: bool, believed: bool) -> None:
    """RFC 9207: else one provider's code could be brought to another."""
    idp.directory.faults.discovery = publishing(authorization_response_iss_parameter_supported=announced)

    async def run() -> str:
        provider, flow = oidc(idp), Flow()
        address = await provider.begin(
            state=flow.state, nonce=flow.nonce, verifier=flow.verifier, redirect_uri=REDIRECT
        )
        query = await asyncio.to_thread(idp.callback, address)
        issuer = idp.issuer if sent == "the issuer" else sent
        return (await finish(provider, query + (f"&iss={issuer}".encode() if issuer else b""), flow)).login

    if believed:
        assert asyncio.run(run()) == "pat@example.com"
    else:
        with pytest.raises(ProviderError) as refused:
            asyncio.run(run())
        assert refused.value.code == "callback_invalid"
        assert "token" not in idp.directory.asked, "the code goes to nobody"


def test_userinfo_is_asked_for_what_the_token_does_not_say(idp: Idp) -> None:
    idp.directory.faults.token = saying(preferred_username=None, name=None)
    claims = signed_in(idp, oidc)
    assert (claims.login, claims.name) == ("pat@example.com", "Pat Example")
    idp.directory.faults.userinfo = publishing(sub="somebody else")
    assert refusal(idp, oidc).code == "token_invalid"
    idp.directory.faults.userinfo = lambda _document: b"<html>"
    assert refusal(idp, oidc).code == "token_invalid"


def test_userinfo_is_not_asked_otherwise(idp: Idp) -> None:
    signed_in(idp, oidc)
    assert "userinfo" not in idp.directory.asked


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_an_address_that_nobody_verified_finds_no_account(idp: Idp, verified: Any) -> None:
    by_email = ClaimNames(login="email")
    idp.directory.faults.token = saying(email="pat@example.com", email_verified=True)
    assert signed_in(idp, oidc, claims=by_email).login == "pat@example.com"
    idp.directory.faults.token = saying(email="pat@example.com", email_verified=verified)
    assert refusal(idp, oidc, claims=by_email).code == "email_unverified"


def test_an_address_said_to_be_unverified_is_not_taken_over(idp: Idp) -> None:
    idp.directory.faults.token = saying(email="boss@example.com", email_verified=False)
    assert signed_in(idp, oidc).email == ""


def test_groups_become_roles_and_are_never_too_few(idp: Idp) -> None:
    rules = (RoleRule("administrators", groups=frozenset({"admins"})),)
    idp.directory.people[0].groups = ["admins", "staff"]
    assert signed_in(idp, oidc, roles=rules).roles == {"administrators"}
    idp.directory.group_limit = 1
    assert refusal(idp, oidc, roles=rules).code == "groups_overage"
    assert signed_in(idp, oidc).roles == frozenset(), "no group matters here"
    idp.directory.group_limit = 200
    for odd in ({"admins": True}, [1], 7):
        idp.directory.faults.token = saying(groups=odd)
        assert refusal(idp, oidc, roles=rules).code == "token_invalid"


@pytest.mark.parametrize(
    ("known", "prompt"), [(None, "login"), ("x", "login"), (["select_account"], "select_account")]
)
def test_another_account_is_taken_in_a_way_that_the_provider_knows(
    idp: Idp, known: object, prompt: str
) -> None:
    idp.directory.faults.discovery = publishing(prompt_values_supported=known)

    async def run() -> str:
        return await oidc(idp).begin(
            state="s", nonce="n", verifier="v" * 43, redirect_uri=REDIRECT, choose=True
        )

    assert parse_qs(urlsplit(asyncio.run(run())).query)["prompt"] == [prompt]


@pytest.mark.parametrize(("claim", "value"), [("amr", ["pwd", "otp"]), ("acr", "otp")])
def test_its_second_factor_counts_when_that_was_configured(idp: Idp, claim: str, value: object) -> None:
    idp.directory.faults.token = saying(**{claim: value})
    assert not signed_in(idp, oidc).second_factor
    assert signed_in(idp, oidc, second_factor=frozenset({"otp"})).second_factor
    assert not signed_in(idp, oidc, second_factor=frozenset({"hwk"})).second_factor


@pytest.mark.parametrize("odd", [None, True, -1, "1700000000", float("nan"), 1e300])
def test_when_somebody_was_asked_for_something_is_known_only_if_it_says_so(idp: Idp, odd: object) -> None:
    idp.directory.faults.token = saying(auth_time=1_700_000_000)
    assert signed_in(idp, oidc).authenticated_at == 1_700_000_000
    idp.directory.faults.token = saying(auth_time=odd)
    assert signed_in(idp, oidc).authenticated_at == 0.0


@pytest.mark.parametrize("name", ["a\r\nb", "a\0b", "x" * 300, 7, None, "\u202eevil"])
def test_texts_that_no_line_can_hold_are_left_out(idp: Idp, name: object) -> None:
    idp.directory.faults.token = saying(name=name, preferred_username=name)
    idp.directory.faults.userinfo = publishing(preferred_username=name, name=name)
    claims = signed_in(idp, oidc)
    assert (claims.login, claims.name) == ("", "")
    assert claims.subject


def test_the_address_asks_for_this_flow_alone(idp: Idp) -> None:
    flow = Flow()

    async def run() -> tuple[str, str | None]:
        provider = oidc(idp, scopes=("openid", "email"))
        address = await provider.begin(
            state=flow.state,
            nonce=flow.nonce,
            verifier=flow.verifier,
            redirect_uri=REDIRECT,
            login_hint="pat",
        )
        return address, provider.end_session_url(return_to=ORIGIN)

    address, ending = asyncio.run(run())
    asked = parse_qs(urlsplit(address).query)
    assert asked.pop("code_challenge") != [flow.verifier]
    assert asked == {
        "response_type": ["code"],
        "client_id": [CLIENT_ID],
        "redirect_uri": [REDIRECT],
        "scope": ["openid email"],
        "state": [flow.state],
        "nonce": [flow.nonce],
        "code_challenge_method": ["S256"],
        "login_hint": ["pat"],
    }
    assert ending is not None
    assert parse_qs(urlsplit(ending).query) == {
        "client_id": [CLIENT_ID],
        "post_logout_redirect_uri": [ORIGIN],
    }


def test_http_is_for_this_machine_alone(idp: Idp) -> None:
    with pytest.raises(ProviderError) as refused:
        idp.directory.faults.discovery = publishing(token_endpoint="http://127.0.0.1:1/token")
        asyncio.run(walk(idp, oidc(idp)))
    assert refused.value.code == "discovery_invalid"
    assert refusal(idp, oidc, allow_http=True).code == "unreachable"
    idp.directory.faults.discovery = publishing(token_endpoint="http://example.com/token")
    assert refusal(idp, oidc, allow_http=True).code == "discovery_invalid"
