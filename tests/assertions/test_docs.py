"""The Python verifier of docs/assertion.md, as it stands there, against a running Gatekeeper."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gatekeeper.assertions.keys import SigningKey
from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from tests.stack.whole import Whole, whole
from tests.wall.recording import Recording, recording

DOCS = Path(__file__).parents[2] / "docs/assertion.md"
OFFICE = "https://office.example.com"


class Place(NamedTuple):
    gate: Whole
    application: Recording
    who_is_asking: Callable[[str], dict[str, Any]]
    token: str
    """A genuine assertion, as it reached the application."""
    key: SigningKey
    """What signed it."""

    @property
    def claims(self) -> dict[str, Any]:
        return dict(self.who_is_asking(self.token))

    def signed(
        self, claims: dict[str, Any], *, key: Any = None, algorithm: str = "ES256", **header: str
    ) -> str:
        header.setdefault("kid", self.key.kid)
        return jwt.encode(claims, key or self.key.private, algorithm=algorithm, headers=header)


def verifier(origin: str) -> Any:
    """`who_is_asking` of the docs, with this Gatekeeper's address in place of the example's."""
    code = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None and code[1].count(OFFICE) == 3
    assert len([line for line in code[1].splitlines() if line]) <= 20
    names: dict[str, Any] = {}
    exec(compile(code[1].replace(OFFICE, origin), str(DOCS), "exec"), names)
    return names["who_is_asking"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("docs")
    with recording() as application, whole(folder, f"http://127.0.0.1:{application.port}") as gate:
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)
        connection.request("GET", "/", headers={"Cookie": gate.cookie(gate.add_user("ada", "ops"))})
        assert connection.getresponse().status == 200
        connection.close()
        found = re.search(rb"x-gatekeeper-assertion: (\S+)\r\n", application.arrived[0].head)
        assert found is not None

        async def key(services: Services) -> SigningKey:
            assert services.signing_keys is not None
            return services.signing_keys.current(time.time())

        yield Place(gate, application, verifier(f"http://{gate.host}"), found[1].decode(), gate.call(key))


def test_a_genuine_one_is_read(place: Place) -> None:
    assert place.claims["preferred_username"] == "ada"
    assert place.claims["roles"] == ["ops"]
    assert place.who_is_asking(place.signed(place.claims)) == place.claims, (
        "the changes below are what counts"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://other.example.com"},
        {"aud": None},
        {"iss": "https://other.example.com"},
        {"iss": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"sub": None},
        {"iat": None},
        {"iat": 4_000_000_000},
    ],
    ids=str,
)
def test_one_for_somebody_else_or_of_another_time_is_refused(place: Place, changed: dict[str, Any]) -> None:
    claims = {name: value for name, value in (place.claims | changed).items() if value is not None}
    with pytest.raises(jwt.PyJWTError):
        place.who_is_asking(place.signed(claims))


def test_an_expired_one_is_refused_seconds_after(place: Place) -> None:
    claims = place.claims | {"iat": int(time.time()) - 66, "exp": int(time.time()) - 6}
    with pytest.raises(jwt.ExpiredSignatureError):
        place.who_is_asking(place.signed(claims))


def test_another_key_is_refused_under_our_id_and_under_its_own(place: Place) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    for kid in (place.key.kid, "another"):
        with pytest.raises(jwt.PyJWTError):
            place.who_is_asking(place.signed(place.claims, key=other, kid=kid))


def test_a_key_that_the_token_brings_along_is_not_used(place: Place) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(other.public_key(), as_dict=True)
    headers = {"kid": place.key.kid, "jwk": jwk}
    with pytest.raises(jwt.InvalidSignatureError):
        place.who_is_asking(jwt.encode(place.claims, other, algorithm="ES256", headers=headers))


def test_no_algorithm_but_es256_is_accepted(place: Place) -> None:
    public = place.key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    none = jwt.encode(place.claims, "", algorithm="none", headers={"kid": place.key.kid})

    def coded(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    # HMAC with our public key as the secret: PyJWT makes none, an attacker does.
    unsigned = coded({"alg": "HS256", "kid": place.key.kid}) + "." + coded(place.claims)
    mac = hmac.digest(public, unsigned.encode(), hashlib.sha256)
    confused = unsigned + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    rs256 = place.signed(
        place.claims, key=rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithm="RS256"
    )
    for token in (none, confused, rs256):
        with pytest.raises(jwt.PyJWTError):
            place.who_is_asking(token)


def test_a_changed_one_is_refused(place: Place) -> None:
    head, _, signature = place.token.split(".")
    raised = base64.urlsafe_b64encode(json.dumps(place.claims | {"roles": ["admin"]}).encode()).rstrip(b"=")
    for token in (f"{head}.{raised.decode()}.{signature}", place.token[:-8], "", "Ada", head + ".."):
        with pytest.raises(jwt.PyJWTError):
            place.who_is_asking(token)


def test_a_new_key_is_known_without_a_restart_and_a_withdrawn_one_is_not(place: Place) -> None:
    who_is_asking = verifier(f"http://{place.gate.host}")
    before = who_is_asking(place.token)

    async def rotate(services: Services) -> SigningKey:
        keys = services.signing_keys
        assert keys is not None
        await keys.add(Source("cli:test"), withdraw=True)
        return keys.current(time.time())

    new = place.gate.call(rotate)
    assert new.kid != place.key.kid
    token = place.signed(before, key=new.private, kid=new.kid)
    keys = who_is_asking.__globals__["KEYS"]
    assert keys.cooldown_duration == 30
    keys.cooldown_duration = (
        0  # as half a minute later: it asks no more often for a key that it does not know
    )
    assert who_is_asking(token)["preferred_username"] == "ada"
    with pytest.raises(jwt.PyJWTError):
        who_is_asking(place.token)
