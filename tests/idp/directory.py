"""What the identity provider knows: tenants, registrations, people, keys; and what it does wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.api_jwt import PyJWT

TENANT = "11111111-2222-4333-8444-555555555555"
OTHER_TENANT = "99999999-2222-4333-8444-555555555555"
CLIENT_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
SECRET = "canary~client.secret"
PASSWORD = "word at Microsoft"

MANY = ("common", "organizations")
"""Words for every tenant."""

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Signer:
    """One signing key."""

    kid: str
    key: PrivateKey
    algorithm: str = "RS256"

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A JWT; what is in `header` replaces what would be there, None leaves it out."""
        algorithm = str(header.pop("alg", self.algorithm))
        fields = {"kid": self.kid} | header
        return PyJWT().encode(
            dict(claims),
            self.key,
            algorithm,
            headers={name: value for name, value in fields.items() if value is not None},
        )

    def jwk(self, issuer: str | None = None) -> dict[str, Any]:
        """The public half as it is published; Entra adds the issuer to each key."""
        public = self.key.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            members = RSAAlgorithm.to_jwk(public, as_dict=True)
        else:
            members = ECAlgorithm.to_jwk(public, as_dict=True)
        members = {name: value for name, value in members.items() if name != "key_ops"}
        return members | {"kid": self.kid, "use": "sig"} | ({"issuer": issuer} if issuer else {})

    def public_pem(self) -> bytes:
        """What an attacker has of it."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


@cache
def signer(kid: str, bits: int = 2048) -> Signer:
    """A key of that name, the same in all tests of a process: making one takes a while."""
    return Signer(kid, rsa.generate_private_key(65537, bits))


@cache
def curve_signer(kid: str) -> Signer:
    """The same on the curve P-256."""
    return Signer(kid, ec.generate_private_key(ec.SECP256R1()), "ES256")


@dataclass
class Registration:
    """An application. `kind` is "web" or "spa" (single-page application)."""

    client_id: str = CLIENT_ID
    kind: str = "web"
    redirect_uris: set[str] = field(default_factory=set)
    secret: str | None = SECRET
    secret_expired: bool = False
    certificate: bytes | None = None
    """PEM; its owner signs assertions."""
    tenants: set[str] = field(default_factory=lambda: {TENANT, OTHER_TENANT})
    """In whose directory it is found; in others, AADSTS700016."""


@dataclass
class Person:
    """Somebody in a tenant. `refusal` is (error, description) that signing in ends with."""

    upn: str
    oid: str = "00000000-1111-4222-8333-444444444444"
    name: str = "Pat Example"
    email: str = ""
    tenant: str = TENANT
    password: str = PASSWORD
    groups: list[str] = field(default_factory=list)
    app_roles: list[str] = field(default_factory=list)
    amr: list[str] | None = None
    refusal: tuple[str, str] | None = None


@dataclass
class Faults:
    """What goes wrong. Everything is off at first."""

    token: Callable[[dict[str, Any], Signer], object] | None = None
    """Makes the ID token, of the claims that a true one would have."""
    callback: Callable[[dict[str, str]], str] | None = None
    """Makes the query that the browser brings back."""
    discovery: Callable[[dict[str, Any]], Any] | None = None
    jwks: Callable[[dict[str, Any]], Any] | None = None
    token_answer: tuple[int, bytes] | None = None
    """Status and body of the token endpoint, whatever is asked."""
    userinfo: Callable[[dict[str, Any]], Any] | None = None
    graph_status: int = 200
    silent: set[str] = field(default_factory=set)
    """Endpoints that never answer: discovery, jwks, token, graph, userinfo."""
    clock_ahead: float = 0.0
    """Seconds."""


@dataclass
class Grant:
    """One code."""

    person: Person
    registration: Registration
    redirect_uri: str
    challenge: str
    nonce: str
    scopes: set[str]
    at: float
    used: bool = False


@dataclass
class Directory:
    """Everything, to be changed by a test between two requests."""

    registrations: list[Registration] = field(default_factory=lambda: [Registration()])
    people: list[Person] = field(default_factory=lambda: [Person("pat@example.com")])
    domains: dict[str, str] = field(
        default_factory=lambda: {"example.com": TENANT, "contoso.example": OTHER_TENANT}
    )
    """Domain → the tenant that has proved it."""
    signers: list[Signer] = field(default_factory=lambda: [signer("first")])
    """All are published, the first signs."""
    faults: Faults = field(default_factory=Faults)
    group_limit: int = 200
    """More of them than this are left out of a token."""
    clock: Callable[[], float] = time.time
    grants: dict[str, Grant] = field(default_factory=dict)
    access: dict[str, tuple[Person, Registration, set[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Endpoints in the order in which they were asked."""

    @property
    def now(self) -> float:
        """Its own clock."""
        return self.clock() + self.faults.clock_ahead

    def person(self, upn: str, password: str) -> Person | None:
        """Who signs in with these."""
        found = [each for each in self.people if each.upn.lower() == upn.strip().lower()]
        return found[0] if found and found[0].password == password else None

    def registration(self, client_id: str) -> Registration | None:
        """The application of that id."""
        return next((each for each in self.registrations if each.client_id == client_id), None)

    def tenant_of(self, name: str) -> str | None:
        """The tenant in an address: an id, a domain, or the words for many."""
        tenants = {*self.domains.values()}
        if name in MANY:
            return name
        return name if name in tenants else self.domains.get(name)
