"""Forged and broken tokens, callbacks and answers, each with the code that it is refused with.

One table for the provider classes (test_matrix.py) and for the pages: `CASES[name].spoil(directory)` makes
the test identity provider do it, and whoever then signs in there must be refused with `CASES[name].code`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.idp.directory import OTHER_TENANT, Directory, Faults, Signer, curve_signer, signer

MARKUP = "<script>alert('injected')</script>"
"""In every text that an attacker can choose; no page may have it, nor a log."""

Claims = dict[str, Any]
Forge = Callable[[Claims, Signer], object]


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong on purpose, and what it is called here."""

    code: str
    token: Forge | None = None
    callback: Callable[[dict[str, str]], str] | None = None
    discovery: Callable[[Claims], Any] | None = None
    jwks: Callable[[Claims], Any] | None = None
    answer: tuple[int, bytes] | None = None
    clock_ahead: float = 0.0
    signer: Signer | None = None
    """Published and used in place of the true one."""
    refusal: tuple[str, str] | None = None
    """What the person's sign-in ends with there."""
    entra: bool = False
    """Concerns Entra ID alone, no other provider."""
    vendor_code: str = ""

    def spoil(self, directory: Directory) -> None:
        """Make `directory` do it."""
        directory.faults = Faults(
            token=self.token,
            callback=self.callback,
            discovery=self.discovery,
            jwks=self.jwks,
            token_answer=self.answer,
            clock_ahead=self.clock_ahead,
        )
        if self.signer is not None:
            directory.signers = [self.signer]
        for person in directory.people:
            person.refusal = self.refusal


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: object) -> str:
    return b64(value if isinstance(value, bytes) else json.dumps(value).encode())


def unsigned(algorithm: str) -> Forge:
    """No signature, as RFC 7519 section 6 allows it."""
    return lambda claims, key: f"{part({'alg': algorithm, 'kid': key.kid})}.{part(claims)}."


def signed(header: Claims, content: object, key: Signer) -> str:
    """Signed by hand, whatever is in it."""
    assert isinstance(key.key, rsa.RSAPrivateKey)
    text = f"{part({'alg': 'RS256', 'typ': 'JWT', 'kid': key.kid} | header)}.{part(content)}"
    return f"{text}.{b64(key.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def hmac_signed(secret: Callable[[Signer], bytes]) -> Forge:
    """HS256 with something that everybody knows."""

    def forge(claims: Claims, key: Signer) -> str:
        text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': key.kid})}.{part(claims)}"
        return f"{text}.{b64(hmac.new(secret(key), text.encode(), hashlib.sha256).digest())}"

    return forge


def by_another(**header: Any) -> Forge:
    """A good signature by a key that the provider does not have."""
    return lambda claims, key: signed({"kid": key.kid} | header, claims, signer("attacker"))


def saying(**values: Any) -> Forge:
    """Signed by the provider, with other claims; None leaves one out."""

    def forge(claims: Claims, key: Signer) -> str:
        changed = {name: value for name, value in (claims | values).items() if value is not None}
        return signed({}, changed, key)

    return forge


def shifted(**seconds: float) -> Forge:
    """With other times, from those of a true token."""
    return lambda claims, key: signed(
        {}, claims | {name: claims["iat"] + 300 + by for name, by in seconds.items()}, key
    )


def with_header(**header: Any) -> Forge:
    return lambda claims, key: signed(header, claims, key)


def tampered(claims: Claims, key: Signer) -> str:
    head, _, end = key.sign(claims).split(".")
    return f"{head}.{part(claims | {'preferred_username': 'administrator@example.com'})}.{end}"


def moved_signature(claims: Claims, key: Signer) -> str:
    other = key.sign(claims | {"sub": "somebody else"}).rsplit(".", 1)[1]
    return f"{key.sign(claims).rsplit('.', 1)[0]}.{other}"


def other_issuer(claims: Claims, key: Signer) -> str:
    return signed({}, claims | {"iss": claims["iss"].replace(claims["tid"], OTHER_TENANT)}, key)


def answering(status: int, document: object) -> tuple[int, bytes]:
    return status, document if isinstance(document, bytes) else json.dumps(document).encode()


def query(**changes: str) -> Callable[[dict[str, str]], str]:
    """The callback with other values."""
    return lambda values: urlencode(values | changes)


def failed(error: str, description: str) -> Callable[[dict[str, str]], str]:
    return lambda values: urlencode(
        {"error": error, "error_description": description, "state": values["state"]}
    )


def publishing(**changes: Any) -> Callable[[Claims], Any]:
    """A discovery document or key set with other values; None leaves one out."""
    return lambda document: {name: v for name, v in (document | changes).items() if v is not None}


SIGNATURES = {
    "alg none": Case("token_invalid", unsigned("none")),
    "alg nOnE": Case("token_invalid", unsigned("nOnE")),
    "alg empty": Case("token_invalid", unsigned("")),
    "HS256 with the public key": Case("token_invalid", hmac_signed(lambda key: key.public_pem())),
    "HS256 with nothing": Case("token_invalid", hmac_signed(lambda _key: b"")),
    "HS256 with the key's name": Case("token_invalid", hmac_signed(lambda key: key.kid.encode())),
    "another key of the same name": Case("token_invalid", by_another()),
    "another key of its own name": Case("token_invalid", by_another(kid="attacker")),
    "another key, sent along": Case("token_invalid", by_another(jwk=signer("attacker").jwk())),
    "another key at an address": Case(
        "token_invalid", by_another(jku="https://attacker.example.com/keys", kid=None)
    ),
    "a key as a path": Case("token_invalid", by_another(kid="../../../dev/null")),
    "a key that is no text": Case("token_invalid", with_header(kid=1)),
    "an algorithm that is no text": Case("token_invalid", with_header(alg=["RS256"])),
    "PS256 said, RS256 done": Case("token_invalid", with_header(alg="PS256")),
    "ES256 said, RS256 done": Case("token_invalid", with_header(alg="ES256")),
    "another kind of key under the name": Case(
        "token_invalid", signer=curve_signer("first"), token=lambda claims, _key: signer("first").sign(claims)
    ),
    "a short key": Case(
        "token_invalid", lambda claims, key: signed({}, claims, key), signer=signer("short", 1024)
    ),
    "an unknown extension": Case("token_invalid", with_header(crit=["exp"])),
    "an unencoded payload": Case("token_invalid", with_header(b64=False, crit=["b64"])),
    "a known extension": Case("token_invalid", with_header(b64=True, crit=["b64"])),
    "a key for another algorithm": Case(
        "token_invalid", jwks=lambda document: {"keys": [document["keys"][0] | {"alg": "PS256"}]}
    ),
    "an access token": Case("token_invalid", with_header(typ="at+jwt")),
    "no signature": Case("token_invalid", lambda claims, key: key.sign(claims).rsplit(".", 1)[0] + "."),
    "the signature of another": Case("token_invalid", moved_signature),
    "changed after signing": Case("token_invalid", tampered),
    "encrypted": Case("token_invalid", lambda claims, key: "e30.a.b.c.d"),
    "two parts": Case("token_invalid", lambda claims, key: key.sign(claims).rsplit(".", 1)[0]),
    "no token at all": Case("token_invalid", lambda claims, key: None),
    "a number": Case("token_invalid", lambda claims, key: 7),
    "a list": Case("token_invalid", lambda claims, key: [key.sign(claims)]),
    "markup": Case("token_invalid", lambda claims, key: f"{MARKUP}.{MARKUP}.{MARKUP}"),
    "beyond ASCII": Case("token_invalid", lambda claims, key: key.sign(claims) + "é"),
    "endless": Case("token_invalid", lambda claims, key: key.sign(claims | {"pad": "x" * 70_000})),
    "content that is no object": Case("token_invalid", lambda claims, key: signed({}, [claims], key)),
    "content that is no JSON": Case("token_invalid", lambda claims, key: signed({}, b"\xff\xfe", key)),
    "content nested for ever": Case("token_invalid", lambda claims, key: signed({}, b"[" * 9_000, key)),
}

CONTENTS = {
    "another issuer": Case("token_invalid", saying(iss="https://attacker.example.com/v2.0")),
    "another tenant's issuer": Case("token_invalid", other_issuer),
    "an issuer with a slash": Case(
        "token_invalid", lambda claims, key: signed({}, claims | {"iss": claims["iss"] + "/"}, key)
    ),
    "an issuer in a list": Case(
        "token_invalid", lambda claims, key: signed({}, claims | {"iss": [claims["iss"]]}, key)
    ),
    "no issuer": Case("token_invalid", saying(iss=None)),
    "another audience": Case("token_invalid", saying(aud="bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee")),
    "no audience": Case("token_invalid", saying(aud=None)),
    "audiences without us": Case("token_invalid", saying(aud=["a", "b"])),
    "audiences without a party": Case(
        "token_invalid", lambda claims, key: signed({}, claims | {"aud": [claims["aud"], "b"]}, key)
    ),
    "an audience that holds ours": Case(
        "token_invalid", lambda claims, key: signed({}, claims | {"aud": f"x{claims['aud']}x"}, key)
    ),
    "made for another party": Case("token_invalid", saying(azp="another")),
    "another nonce": Case("token_invalid", saying(nonce="0" * 64)),
    "no nonce": Case("token_invalid", saying(nonce=None)),
    "a nonce that is a list": Case(
        "token_invalid", lambda claims, key: signed({}, claims | {"nonce": [claims["nonce"]]}, key)
    ),
    "a nonce beyond Unicode": Case("token_invalid", saying(nonce="\ud800")),
    "expired": Case("token_invalid", shifted(exp=-61, iat=-400, nbf=-400)),
    "not yet valid": Case("token_invalid", shifted(nbf=120)),
    "issued in the future": Case("token_invalid", shifted(iat=120)),
    "issued long ago": Case("token_invalid", shifted(iat=-4_000)),
    "no expiry": Case("token_invalid", saying(exp=None)),
    "no time of issue": Case("token_invalid", saying(iat=None)),
    "an expiry that is text": Case("token_invalid", saying(exp="4102444800")),
    "an expiry that is no number": Case("token_invalid", saying(exp=float("nan"))),
    "an expiry at infinity": Case("token_invalid", saying(exp=float("inf"))),
    "an expiry beyond floating point": Case("token_invalid", saying(exp=10**400)),
    "an expiry that is true": Case("token_invalid", saying(exp=True)),
    "a provider whose clock is ahead": Case("clock_skew", clock_ahead=900.0),
    "a provider whose clock is behind": Case("clock_skew", clock_ahead=-7_200.0),
    "no subject": Case("token_invalid", saying(sub=None)),
    "an empty subject": Case("token_invalid", saying(sub="")),
    "a subject that is a number": Case("token_invalid", saying(sub=7)),
    "a subject with a line break": Case("token_invalid", saying(sub="a\r\nb")),
    "another tenant": Case("token_invalid", saying(tid=OTHER_TENANT), entra=True),
    "another tenant, by a key for all": Case(
        "token_invalid",
        saying(tid=OTHER_TENANT),
        jwks=lambda document: {"keys": [{**document["keys"][0], "issuer": ""}]},
        entra=True,
    ),
    "a key for another issuer": Case(
        "token_invalid",
        jwks=lambda document: {"keys": [{**document["keys"][0], "issuer": "https://a.example/v2.0"}]},
        entra=True,
    ),
    "no tenant": Case("token_invalid", saying(tid=None), entra=True),
    "a tenant that is a pattern": Case("token_invalid", saying(tid="{tenantid}"), entra=True),
    "no object id": Case("token_invalid", saying(oid=None), entra=True),
    "an object id with markup": Case("token_invalid", saying(oid=MARKUP), entra=True),
    "roles that are no list": Case("token_invalid", saying(roles={"a": 1}), entra=True),
}

CALLBACKS = {
    "the state of another flow": Case("state_mismatch", callback=query(state="another")),
    "no state": Case("state_missing", callback=lambda values: urlencode({"code": values["code"]})),
    "markup as state": Case("callback_invalid", callback=query(state=MARKUP)),
    "the state twice": Case(
        "callback_invalid", callback=lambda values: f"{urlencode(values)}&state={values['state']}"
    ),
    "two codes": Case("callback_invalid", callback=lambda values: f"{urlencode(values)}&code=another"),
    "code and error": Case("callback_invalid", callback=query(error="access_denied")),
    "neither code nor error": Case(
        "callback_invalid", callback=lambda values: urlencode({"state": values["state"]})
    ),
    "another code": Case("flow_expired", callback=query(code="0.Aanother"), vendor_code="AADSTS70000"),
    "markup as code": Case("flow_expired", callback=query(code=MARKUP.replace(" ", ""))),
    "an error of markup": Case("provider_error", callback=failed(MARKUP, MARKUP)),
    "an error of markup with a number": Case(
        "blocked", callback=failed("x", f"{MARKUP}\r\nAADSTS50057: {MARKUP}"), vendor_code="AADSTS50057"
    ),
    "cancelled": Case("cancelled", callback=failed("access_denied", "AADSTS65004: declined")),
    "consent": Case("consent", refusal=("access_denied", "AADSTS65001: no consent")),
    "locked": Case("blocked", refusal=("access_denied", "AADSTS50053: locked")),
    "no second factor": Case("mfa_required", refusal=("interaction_required", "AADSTS50076: MFA")),
    "second factor failed": Case("mfa_failed", refusal=("access_denied", "AADSTS500121: failed")),
    "conditional access": Case("conditional_access", refusal=("access_denied", "AADSTS53003: blocked")),
    "not assigned": Case("no_access", refusal=("access_denied", "AADSTS50105: not assigned")),
    "something new": Case(
        "provider_error", refusal=("other", f"AADSTS987654: {MARKUP}"), vendor_code="AADSTS987654"
    ),
}

ANSWERS = {
    "a token endpoint without JSON": Case("token_invalid", answer=answering(200, MARKUP.encode())),
    "a token endpoint with a list": Case("token_invalid", answer=answering(200, [])),
    "a token endpoint nested for ever": Case("token_invalid", answer=answering(200, b"[" * 100_000)),
    "a token endpoint with nothing": Case("token_invalid", answer=answering(200, {})),
    "a token endpoint that fails": Case("provider_busy", answer=answering(500, b"")),
    "a token endpoint that is busy": Case("provider_busy", answer=answering(429, b"{}")),
    "an endless token endpoint": Case("provider_busy", answer=answering(200, b'"' + b"x" * 2_000_000)),
    "an expired secret": Case(
        "secret_invalid",
        answer=answering(401, {"error": "invalid_client", "error_description": f"AADSTS7000222: {MARKUP}"}),
        vendor_code="AADSTS7000222",
    ),
    "an error of markup there": Case(
        "provider_error", answer=answering(400, {"error": MARKUP, "error_description": [MARKUP]})
    ),
    "another published issuer": Case("discovery_invalid", discovery=publishing(issuer="https://a.example")),
    "no published issuer": Case("discovery_invalid", discovery=publishing(issuer=None)),
    "an endpoint without encryption": Case(
        "discovery_invalid", discovery=publishing(token_endpoint="http://attacker.example.com/token")
    ),
    "keys in a file": Case("discovery_invalid", discovery=publishing(jwks_uri="file:///etc/passwd")),
    "an endpoint with a user": Case(
        "discovery_invalid", discovery=publishing(authorization_endpoint="https://a:b@example.com/")
    ),
    "an endpoint with a line break": Case(
        "discovery_invalid", discovery=publishing(authorization_endpoint="https://example.com/\r\nX: y")
    ),
    "discovery without JSON": Case("discovery_invalid", discovery=lambda _document: MARKUP.encode()),
    "no keys": Case("discovery_invalid", jwks=publishing(keys=[])),
    "a secret among the keys": Case(
        "discovery_invalid", jwks=publishing(keys=[{"kty": "oct", "kid": "first", "k": "c2VjcmV0"}])
    ),
    "keys that are no list": Case("discovery_invalid", jwks=publishing(keys="first")),
    "a thousand keys": Case("discovery_invalid", jwks=publishing(keys=[{}] * 1_000)),
    "keys for encryption": Case(
        "discovery_invalid", jwks=lambda document: {"keys": [document["keys"][0] | {"use": "enc"}]}
    ),
    "two keys of one name": Case("token_invalid", jwks=lambda document: {"keys": document["keys"] * 2}),
}

CASES: dict[str, Case] = SIGNATURES | CONTENTS | CALLBACKS | ANSWERS
