"""An ID token is believed, or refused with the reason. Pure: keys and time are arguments.

OpenID Connect Core 1.0 section 3.1.3.7, RFC 8725 (JWT best current practices). MSAL checks none of this.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.api_jws import PyJWS

from gatekeeper.providers.keys import Key
from gatekeeper.providers.protocol import ProviderError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a private key alone: with HS256 the public key would do, with "none" nothing at all."""
MAX_TOKEN = 65_536
"""Characters."""
LEEWAY = 60.0
"""Seconds that two clocks may differ."""
MAX_AGE = 3_600.0
"""Seconds since it was issued: it was fetched just now, so that an old one is a replayed one."""
_FAR = 1e12
_LEAST_RSA_BITS, _MOST_RSA_BITS = 2_048, 16_384
_KINDS = {"R": "RSA", "P": "RSA", "E": "EC"}
_SUBJECT = re.compile(r"[\x20-\x7e]{1,255}")
_JWS = PyJWS(algorithms=ALGORITHMS)


class Expected(NamedTuple):
    """What the token must say."""

    client_id: str
    nonce: str
    issuer: str


class Header(NamedTuple):
    """The part that is needed to find the key. Nobody has signed it yet."""

    algorithm: str
    kid: str | None


def refuse(why: str) -> ProviderError:
    """A refusal whose detail is ours: the token's content is never in it."""
    return ProviderError("token_invalid", why)


def read_header(token: object) -> Header:
    """The algorithm and the key id, before the signature is checked. Raises `ProviderError`."""
    if not isinstance(token, str) or not token.isascii() or len(token) > MAX_TOKEN:
        raise refuse("there is no ID token, or it is too long")
    if token.count(".") != 2:
        raise refuse("the ID token is not a signed JWT")
    try:
        header = _JWS.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise refuse("the ID token's header cannot be read") from None
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if algorithm not in ALGORITHMS:
        raise refuse("the ID token's signature is of a kind that is not accepted")
    if "crit" in header or "b64" in header:
        raise refuse("the ID token's header asks for extensions")
    if not isinstance(kind, str) or kind.lower() != "jwt":
        raise refuse("it is another kind of token than an ID token")
    if kid is not None and not isinstance(kid, str):
        raise refuse("the ID token's key id is not text")
    return Header(str(algorithm), kid)


def verify_signature(token: str, key: Key | None) -> dict[str, Any]:
    """The claims that `key` has signed. Raises `ProviderError`."""
    header = read_header(token)
    if key is None:
        raise refuse("no key of the provider has signed the ID token")
    if key.jwk["kty"] != _KINDS[header.algorithm[0]] or key.algorithm not in ("", header.algorithm):
        raise refuse("the ID token's algorithm is not that of the key")
    try:
        made = jwt.PyJWK(dict(key.jwk), header.algorithm)
        if isinstance(made.key, RSAPublicKey) and not _LEAST_RSA_BITS <= made.key.key_size <= _MOST_RSA_BITS:
            raise refuse("the provider's key is too short or too long")
        claims = json.loads(_JWS.decode(token, made, algorithms=[header.algorithm]))
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise refuse("the ID token's signature is wrong") from None
    if not isinstance(claims, dict):
        raise refuse("the ID token's content is not an object")
    return claims


def check_claims(
    claims: Mapping[str, Any], expected: Expected, now: float, *, provider_time: float | None = None
) -> None:
    """Whether signed claims are for us, for this flow and for now. Times in seconds since the epoch.

    `provider_time` is the provider's clock, when its answer said it: with it a wrong clock is told from a
    wrong token. Raises `ProviderError` ("token_invalid", "clock_skew").
    """
    if claims.get("iss") != expected.issuer:
        raise refuse("the ID token is of another issuer")
    _check_audience(claims, expected.client_id)
    _check_times(claims, now, provider_time)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not nonce.isascii() or not hmac.compare_digest(nonce, expected.nonce):
        raise refuse("the ID token is of another sign-in (nonce)")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
        raise refuse("the ID token does not say whom it is about (sub)")


def authenticated_at(claims: Mapping[str, Any]) -> float:
    """`auth_time` in seconds since the epoch; 0.0 for none that can be used. OpenID Connect Core 2."""
    value: object = claims.get("auth_time")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < _FAR:
        return float(value)
    return 0.0


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise refuse("the ID token is for another application (aud)")
    party = claims.get("azp")
    if (party is not None or len(audiences) > 1) and party != client_id:
        raise refuse("the ID token was made for another application (azp)")


def _check_times(claims: Mapping[str, Any], now: float, provider_time: float | None) -> None:
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if expires + LEEWAY > now and max(issued, begins) - LEEWAY <= now and issued + MAX_AGE > now:
        return
    if provider_time is not None and abs(provider_time - now) > LEEWAY:
        away = provider_time - now
        raise ProviderError("clock_skew", f"the provider's clock is {away:+.0f} s from this machine's")
    late = expires + LEEWAY <= now or issued + MAX_AGE <= now
    raise refuse("the ID token is over (exp, iat)" if late else "the ID token is not valid yet (nbf, iat)")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not isinstance(value, int | float) or not 0 < value < _FAR:  # NaN, too
        raise refuse(f"the ID token has no usable {name}")
    return float(value)
