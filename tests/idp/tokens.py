"""The token endpoint's judgement, and what is in a token."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from typing import Any
from urllib.parse import unquote_plus, urlsplit

import jwt
from cryptography import x509

from tests.idp.directory import Directory, Grant, Registration

LIFE_OF_A_CODE = 600.0


class Refused(Exception):
    """An answer of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def proved_client(
    directory: Directory, form: dict[str, str], headers: dict[str, str], endpoint: str
) -> Registration:
    """The application that asks, after it has proved itself as its kind must."""
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if headers.get("authorization", "").startswith("Basic "):
        try:
            pair = base64.b64decode(headers["authorization"][6:]).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Refused("invalid_client", "AADSTS900144: the header cannot be read.", 401) from None
        client_id, secret = map(unquote_plus, pair.split(":", 1))
    found = directory.registration(client_id)
    if found is None:
        raise Refused("unauthorized_client", f"AADSTS700016: Application '{client_id}' was not found.")
    origin = headers.get("origin")
    if found.kind == "spa":
        if origin is None:
            raise Refused(
                "invalid_request",
                "AADSTS9002327: Tokens issued for the 'Single-Page Application' client-type may only be "
                "redeemed via cross-origin requests.",
            )
        return found
    if origin is not None:
        raise Refused(
            "invalid_request",
            "AADSTS9002326: Cross-origin token redemption is permitted only for the 'Single-Page "
            "Application' client-type.",
        )
    if found.certificate is not None and "client_assertion" in form:
        _check_assertion(found, form["client_assertion"], endpoint)
        return found
    if not secret:
        raise Refused(
            "invalid_client",
            "AADSTS7000218: The request body must contain 'client_assertion' or 'client_secret'.",
            401,
        )
    if found.secret is None or not secrets.compare_digest(secret.encode(), found.secret.encode()):
        raise Refused("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
    if found.secret_expired:
        raise Refused("invalid_client", "AADSTS7000222: The provided client secret keys are expired.", 401)
    return found


def _check_assertion(registration: Registration, assertion: str, endpoint: str) -> None:
    """RFC 7523 section 3, signed by the owner of the certificate."""
    assert registration.certificate is not None
    key: Any = x509.load_pem_x509_certificate(registration.certificate).public_key()
    try:
        jwt.decode(
            assertion,
            key,
            algorithms=["PS256", "RS256"],
            audience=endpoint,
            issuer=registration.client_id,
            subject=registration.client_id,
            options={"require": ["exp", "jti", "aud", "iss", "sub"]},
        )
    except jwt.PyJWTError:
        raise Refused("invalid_client", "AADSTS700027: The certificate was not accepted.", 401) from None


def redeemed(
    directory: Directory, registration: Registration, form: dict[str, str], headers: dict[str, str]
) -> Grant:
    """The grant of a code, which counts once."""
    if form.get("grant_type") != "authorization_code":
        raise Refused("unsupported_grant_type", "AADSTS70003: The grant type is not supported.")
    grant = directory.grants.get(form.get("code", ""))
    if grant is None or grant.registration is not registration:
        raise Refused("invalid_grant", "AADSTS70000: The provided value for 'code' is not valid.")
    if grant.used:
        raise Refused("invalid_grant", "AADSTS54005: OAuth2 Authorization code was already redeemed.")
    grant.used = True
    if directory.now > grant.at + LIFE_OF_A_CODE:
        raise Refused("invalid_grant", "AADSTS70008: The provided authorization code has expired.")
    if form.get("redirect_uri") != grant.redirect_uri:
        raise Refused("invalid_grant", "AADSTS500112: The reply address does not match.")
    if registration.kind == "spa":
        parts = urlsplit(grant.redirect_uri)
        if headers.get("origin") != f"{parts.scheme}://{parts.netloc}":
            raise Refused("invalid_request", "AADSTS9002327: The origin is not that of the redirect URI.")
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != grant.challenge:
        raise Refused("invalid_grant", "AADSTS501481: The Code_Verifier does not match the code_challenge.")
    return grant


def id_claims(directory: Directory, grant: Grant, base: str) -> dict[str, Any]:
    """What a true ID token of this grant says."""
    person, now = grant.person, int(directory.now)
    claims: dict[str, Any] = {
        "ver": "2.0",
        "iss": f"{base}/{person.tenant}/v2.0",
        "sub": hashlib.sha256(f"{person.oid}{grant.registration.client_id}".encode()).hexdigest(),
        "aud": grant.registration.client_id,
        "iat": now - 300,
        "nbf": now - 300,
        "exp": now + 3_600,
        "oid": person.oid,
        "tid": person.tenant,
        "nonce": grant.nonce,
    }
    if "profile" in grant.scopes:
        claims |= {"name": person.name, "preferred_username": person.upn}
    if "email" in grant.scopes and person.email:
        claims["email"] = person.email
    if person.app_roles:
        claims["roles"] = person.app_roles
    if person.amr is not None:
        claims["amr"] = person.amr
    if len(person.groups) > directory.group_limit:
        claims["_claim_names"] = {"groups": "src1"}
        claims["_claim_sources"] = {
            "src1": {"endpoint": f"https://graph.example/{person.oid}/getMemberObjects"}
        }
    elif person.groups:
        claims["groups"] = person.groups
    return claims


def token_answer(directory: Directory, grant: Grant, base: str) -> dict[str, Any]:
    """The whole answer of a success."""
    signer, faults = directory.signers[0], directory.faults
    claims = id_claims(directory, grant, base)
    access_token = secrets.token_urlsafe(24)
    directory.access[access_token] = (grant.person, grant.registration, grant.scopes)
    return {
        "token_type": "Bearer",
        "scope": " ".join(sorted(grant.scopes)),
        "expires_in": 3_599,
        "access_token": access_token,
        "id_token": faults.token(claims, signer) if faults.token else signer.sign(claims),
    }
