"""Signing in at Entra ID, over the real protocol: each kind of registration, tenants, groups, failures."""

from __future__ import annotations

import asyncio
import datetime
import io
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from gatekeeper.providers.microsoft import Certificate
from gatekeeper.providers.roles import RoleRule
from gatekeeper.telemetry import logs
from tests.idp.directory import CLIENT_ID, OTHER_TENANT, SECRET, TENANT, Person, Signer, signer
from tests.idp.server import Idp
from tests.providers.matrix import saying
from tests.providers.support import ORIGIN, REDIRECT, Flow, microsoft, refusal, signed_in, walk

OID = "00000000-1111-4222-8333-444444444444"
GROUP = "0f0f0f0f-0000-4000-8000-000000000001"


def begun(idp: Idp, flow: Flow, *, hint: str = "", **changes: Any) -> dict[str, list[str]]:
    async def run() -> str:
        return await microsoft(idp, **changes).begin(
            state=flow.state, nonce=flow.nonce, verifier=flow.verifier, redirect_uri=REDIRECT, login_hint=hint
        )

    address = asyncio.run(run())
    assert address.startswith(f"{idp.authority}/{TENANT}/oauth2/v2.0/authorize?")
    return parse_qs(urlsplit(address).query, keep_blank_values=True)


def test_the_address_asks_for_this_flow_alone(idp: Idp) -> None:
    flow = Flow()
    asked = begun(idp, flow, hint="pat@example.com", prompt="select_account", domain_hint="example.com")
    assert asked["client_id"] == [CLIENT_ID]
    assert asked["redirect_uri"] == [REDIRECT]
    assert asked["response_type"] == ["code"]
    assert asked["state"] == [flow.state]
    assert asked["code_challenge_method"] == ["S256"]
    assert set(asked["scope"][0].split()) == {"openid", "profile", "email"}
    assert (asked["login_hint"], asked["prompt"], asked["domain_hint"]) == (
        ["pat@example.com"],
        ["select_account"],
        ["example.com"],
    )
    assert len(asked["nonce"]) == len(asked["code_challenge"]) == 1
    assert flow.verifier not in str(asked)


def test_two_people_are_sent_there_with_nothing_in_common(idp: Idp) -> None:
    """MSAL makes the address once, and each flow has its own state, nonce, challenge, hint and prompt."""

    async def run() -> list[dict[str, list[str]]]:
        provider, asked = microsoft(idp, prompt="consent"), []
        for hint, choose in (("pat@example.com", True), ("", False)):
            flow = Flow()
            address = await provider.begin(
                state=flow.state,
                nonce=flow.nonce,
                verifier=flow.verifier,
                redirect_uri=REDIRECT,
                login_hint=hint,
                choose=choose,
            )
            asked.append(parse_qs(urlsplit(address).query, keep_blank_values=True))
            assert asked[-1]["state"] == [flow.state]
        return asked

    one, other = asyncio.run(run())
    assert (one.pop("login_hint"), one.pop("prompt")) == (["pat@example.com"], ["select_account"])
    assert other.pop("prompt") == ["consent"] and "login_hint" not in other
    assert {name for name in one if one[name] != other.get(name)} == {"state", "nonce", "code_challenge"}
    assert one.keys() == other.keys()


def test_whoever_signs_in_is_known_by_what_never_changes(idp: Idp) -> None:
    idp.directory.people[0].email = "pat.example@example.com"
    claims = signed_in(idp)
    assert claims.provider == "microsoft"
    assert claims.subject == f"{TENANT}:{OID}"
    assert claims.login == "pat@example.com"
    assert (claims.name, claims.email) == ("Pat Example", "pat.example@example.com")
    assert claims.roles == frozenset()
    assert not claims.second_factor


def test_a_single_page_registration_needs_the_client_id_alone(idp: Idp) -> None:
    registration = idp.directory.registrations[0]
    registration.kind, registration.secret = "spa", None
    assert signed_in(idp, credential=None).login == "pat@example.com"


def test_a_web_registration_gets_no_origin(idp: Idp) -> None:
    assert signed_in(idp).login == "pat@example.com"
    wrong = refusal(idp, credential=None)
    assert (wrong.code, wrong.vendor_code) == ("single_page", "AADSTS9002326")


def test_a_certificate_proves_who_asks(idp: Idp) -> None:
    mine, other = certificate("mine"), certificate("other")
    idp.directory.registrations[0].certificate = mine.certificate.encode()
    assert signed_in(idp, credential=mine).login == "pat@example.com"
    wrong = refusal(idp, credential=other)
    assert (wrong.code, wrong.vendor_code) == ("secret_invalid", "AADSTS700027")


@pytest.mark.parametrize("tenant", ["organizations", "common"])
def test_of_many_tenants_the_one_that_owns_the_domain_is_believed(idp: Idp, tenant: str) -> None:
    assert signed_in(idp, tenant=tenant).subject.startswith(TENANT)
    idp.directory.people.append(Person("eve@contoso.example", tenant=OTHER_TENANT))
    assert signed_in(idp, tenant=tenant, login="eve@contoso.example").subject.startswith(OTHER_TENANT)
    for stranger in ("victim@example.com", "eve@nobody.example", "eve", "eve@../common"):
        idp.directory.people = [Person(stranger, tenant=OTHER_TENANT)]
        assert refusal(idp, tenant=tenant, login=stranger).code == "tenant_not_allowed"


def test_of_many_tenants_the_listed_ones_are_believed(idp: Idp) -> None:
    chosen: dict[str, Any] = {"tenant": "organizations", "allowed_tenants": frozenset({TENANT})}
    assert signed_in(idp, **chosen).login == "pat@example.com"
    idp.directory.people.append(Person("eve@contoso.example", tenant=OTHER_TENANT))
    assert refusal(idp, login="eve@contoso.example", **chosen).code == "tenant_not_allowed"


def test_a_tenant_may_be_named_by_its_domain(idp: Idp) -> None:
    assert signed_in(idp, tenant="example.com").subject.startswith(TENANT)
    idp.directory.people[0].tenant = OTHER_TENANT
    assert refusal(idp, tenant="example.com").code == "token_invalid"


def test_groups_and_application_roles_become_roles(idp: Idp) -> None:
    rules = (
        RoleRule("staff", groups=frozenset({GROUP})),
        RoleRule("administrators", app_roles=frozenset({"Gate.Admin"})),
        RoleRule("nobody", groups=frozenset({"another"})),
    )
    person = idp.directory.people[0]
    assert signed_in(idp, roles=rules).roles == frozenset()
    person.groups, person.app_roles = [GROUP, "unheard of"], ["Gate.Admin"]
    assert signed_in(idp, roles=rules).roles == {"staff", "administrators"}


def test_too_many_groups_are_asked_for_or_refused_but_never_left_out(idp: Idp) -> None:
    many = frozenset(f"0f0f0f0f-0000-4000-8000-{number:012}" for number in range(50))
    rules = (RoleRule("staff", groups=many), RoleRule("others", groups=frozenset({"another"})))
    person = idp.directory.people[0]
    person.groups, idp.directory.group_limit = [max(many), *(str(number) for number in range(200))], 200
    assert refusal(idp, roles=rules).code == "groups_overage"
    assert signed_in(idp, roles=rules, read_groups=True).roles == {"staff"}
    assert idp.directory.asked.count("graph") == 3
    idp.directory.faults.graph_status = 403
    assert refusal(idp, roles=rules, read_groups=True).code == "groups_overage"
    idp.directory.faults.graph_status = 503
    assert refusal(idp, roles=rules, read_groups=True).code == "provider_busy"
    by_role = (RoleRule("administrators", app_roles=frozenset({"Gate.Admin"})),)
    person.app_roles = ["Gate.Admin"]
    assert signed_in(idp, roles=by_role).roles == {"administrators"}, "no group matters here"


def test_its_second_factor_counts_when_that_was_configured(idp: Idp) -> None:
    idp.directory.people[0].amr = ["pwd", "mfa"]
    assert not signed_in(idp).second_factor
    assert signed_in(idp, second_factor=frozenset({"mfa"})).second_factor
    idp.directory.people[0].amr = ["pwd"]
    assert not signed_in(idp, second_factor=frozenset({"mfa"})).second_factor


@pytest.mark.parametrize("odd", [None, True, -1, "1700000000", float("nan"), 1e300])
def test_when_somebody_was_asked_for_something_is_known_only_if_it_says_so(idp: Idp, odd: object) -> None:
    idp.directory.faults.token = saying(auth_time=1_700_000_000)
    assert signed_in(idp).authenticated_at == 1_700_000_000
    idp.directory.faults.token = saying(auth_time=odd)
    assert signed_in(idp).authenticated_at == 0.0


def test_new_keys_are_found_and_old_ones_forgotten(idp: Idp) -> None:
    now = 1_800_000_000.0
    idp.directory.clock = lambda: now

    async def run() -> None:
        nonlocal now
        provider = microsoft(idp)
        await walk(idp, provider)
        await walk(idp, provider)
        assert idp.directory.asked.count("jwks") == 1
        idp.directory.signers = [signer("second"), signer("first")]
        now += 31.0
        await walk(idp, provider)
        assert idp.directory.asked.count("jwks") == 2
        idp.directory.signers = [signer("third")]
        for _ in range(3):
            with pytest.raises(Exception, match="no key"):
                await walk(idp, provider)
        assert idp.directory.asked.count("jwks") == 2, "unknown keys must not become a flood of questions"
        now += 31.0
        await walk(idp, provider)

    asyncio.run(run())


def test_two_people_at_once_get_their_own(idp: Idp) -> None:
    idp.directory.people.append(Person("kim@example.com", oid="00000000-1111-4222-8333-000000000002"))

    async def run() -> None:
        provider = microsoft(idp)
        logins = ["pat@example.com", "kim@example.com"] * 8
        found = await asyncio.gather(*(walk(idp, provider, login=login) for login in logins))
        assert [claims.login for claims in found] == logins
        assert len({claims.subject for claims in found}) == 2

    asyncio.run(run())


def test_no_secret_code_or_token_is_logged_at_any_level(idp: Idp) -> None:
    root = logging.getLogger()
    before, config, stream = (root.handlers[:], root.level), structlog.get_config(), io.StringIO()
    flow = Flow()
    tokens: list[str] = []

    def kept(claims: dict[str, Any], key: Signer) -> str:
        tokens.append(key.sign(claims))
        return tokens[-1]

    idp.directory.faults.token = kept
    try:
        logs.configure("debug", "json", stream)
        asyncio.run(walk(idp, microsoft(idp), flow=flow))
        idp.directory.registrations[0].secret = "another"
        assert refusal(idp).code == "secret_invalid"
    finally:
        root.handlers[:], root.level = before
        structlog.configure(**config)
    for word in (SECRET, flow.verifier, flow.nonce, *idp.directory.grants, *idp.directory.access, *tokens):
        assert word not in stream.getvalue()
    assert len(tokens) == len(idp.directory.access) == 1


def test_signing_out_there(idp: Idp) -> None:
    async def run() -> str | None:
        provider = microsoft(idp)
        assert provider.end_session_url(return_to=ORIGIN) is None, "nothing is known yet"
        await walk(idp, provider)
        return provider.end_session_url(return_to=f"{ORIGIN}/_gate/bye?a=b")

    assert asyncio.run(run()) == (
        f"{idp.authority}/{TENANT}/oauth2/v2.0/logout"
        "?post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F_gate%2Fbye%3Fa%3Db"
    )


def certificate(name: str) -> Certificate:
    """A self-signed one, as `openssl req -x509` makes it."""
    key = signer(f"certificate {name}").key
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(made.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())
