"""Through a running Gatekeeper: who gets an assertion, who does not, and the keys that verify it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from jwt.algorithms import ECAlgorithm

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.core.session import EndReason
from gatekeeper.gate.dialects import DIALECTS, Dialect
from tests.stack.whole import Whole, whole
from tests.wall.forgeries import spellings
from tests.wall.recording import Recording, recording

OURS = "x-gatekeeper-assertion"
RULES = [{"path": "/open/**", "allow": "public"}, {"path": "/shut/**", "allow": "deny"}]


class Place(NamedTuple):
    gate: Whole
    application: Recording

    def ask(
        self, path: str, cookie: str = "", method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.gate.port, timeout=20)) as connection:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=sent | ({"Cookie": cookie} if cookie else {}))
            answer = connection.getresponse()
            return answer, answer.read()

    def arrived(self, path: str, cookie: str = "", header: str = OURS) -> list[str]:
        """The values of `header` with which a request for `path` reached the application."""
        self.application.clear()
        assert self.ask(path, cookie)[0].status == 200
        (request,) = self.application.arrived
        lines = (line.partition(b": ") for line in request.head.split(b"\r\n"))
        return [value.decode() for name, _, value in lines if name == header.encode()]

    def key_set(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("/_gate/jwks.json")[1])
        return found

    def verify(self, token: str, audience: str = "") -> dict[str, Any]:
        (key,) = [
            key for key in self.key_set()["keys"] if key["kid"] == jwt.get_unverified_header(token)["kid"]
        ]
        public: Any = ECAlgorithm.from_jwk(key)
        ours = f"http://{self.gate.host}"
        claims: dict[str, Any] = jwt.decode(
            token, public, algorithms=["ES256"], audience=audience or ours, issuer=ours
        )
        return claims


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("assertions")
    with (
        recording() as application,
        whole(
            folder, f"http://127.0.0.1:{application.port}", rules=RULES, trusted_proxies=["127.0.0.1"]
        ) as gate,
    ):
        yield Place(gate, application)


def test_the_application_can_verify_who_is_asking(place: Place) -> None:
    number = place.gate.add_user("ada", "audit", "ops")
    (token,) = place.arrived("/orders", place.gate.cookie(number))
    claims = place.verify(token)
    assert (claims["sub"], claims["preferred_username"], claims["roles"]) == (
        str(number),
        "ada",
        ["audit", "ops"],
    )
    assert claims["exp"] - claims["iat"] <= 60
    assert claims["amr"] == ["pwd"]


def test_it_goes_along_on_public_paths_for_those_who_are_signed_in_and_for_nobody_else(place: Place) -> None:
    cookie = place.gate.cookie(place.gate.add_user("bea"))
    assert len(place.arrived("/open/page", cookie)) == 1
    assert place.arrived("/open/page") == []


def test_a_change_of_roles_is_in_the_very_next_one(place: Place) -> None:
    number = place.gate.add_user("cleo", "ops")
    cookie = place.gate.cookie(number)
    assert place.verify(place.arrived("/", cookie)[0])["roles"] == ["ops"]

    async def take(services: Services) -> None:
        await services.users.set_roles(number, [], by=Source("test"))

    place.gate.call(take)
    assert place.verify(place.arrived("/", cookie)[0])["roles"] == []


def test_whose_session_was_ended_gets_none(place: Place) -> None:
    number = place.gate.add_user("dora")
    cookie = place.gate.cookie(number)
    place.arrived("/", cookie)

    async def end(services: Services) -> None:
        await services.sessions.end_user(number, EndReason.REVOKED)

    place.gate.call(end)
    place.application.clear()
    assert place.ask("/", cookie)[0].status in (302, 303, 401)
    assert place.ask("/open/page", cookie)[0].status == 200
    assert b"assertion" not in place.application.arrived[-1].head


@pytest.mark.parametrize("dialect", DIALECTS, ids=[dialect.name for dialect in DIALECTS])
def test_every_proxy_that_asks_gets_one_to_hand_on(place: Place, dialect: Dialect) -> None:
    login = f"eve-{dialect.name}"
    cookie = place.gate.cookie(place.gate.add_user(login))

    def question(path: str, cookie: str) -> http.client.HTTPResponse:
        asked = {
            dialect.method: "GET",
            dialect.scheme: "http",
            dialect.host: place.gate.host,
            dialect.uri: path,
            b"x-forwarded-for": "192.0.2.1",
            b"x-gatekeeper-assertion": "forged",
        }
        headers = {name.decode(): value for name, value in asked.items()}
        endpoint = f"/_gate/auth/{dialect.name}" + (path if dialect.in_place else "")
        return place.ask(endpoint, cookie, **headers)[0]

    yes = question("/orders", cookie)
    assert yes.status == 200
    assert place.verify(yes.getheader(OURS, ""))["preferred_username"] == login
    stranger = question("/open/page", "")
    assert stranger.status == 200 and not stranger.getheader(OURS)
    if dialect.removes:
        assert OURS in stranger.getheader("x-envoy-auth-headers-to-remove", "").split(",")
    if dialect.fills:
        assert stranger.getheader(OURS) == ""
    assert question("/shut/door", cookie).getheader(OURS) is None
    if dialect.cached:  # kept by nginx for a second or two: half of its life is left then
        assert yes.getheader("x-accel-expires") == "1"


def test_the_name_and_the_reader_are_configurable_and_forged_copies_are_removed(tmp_path: Path) -> None:
    with (
        recording() as application,
        whole(
            tmp_path,
            f"http://127.0.0.1:{application.port}",
            rules=RULES,
            identity={"assertion": {"header": "Proof-Of-Person", "audience": "payroll", "lifetime": "10s"}},
        ) as gate,
    ):
        place = Place(gate, application)
        cookie = gate.cookie(gate.add_user("ada"))
        (token,) = place.arrived("/", cookie, "proof-of-person")
        claims = place.verify(token, "payroll")
        assert claims["exp"] - claims["iat"] <= 10
        with pytest.raises(jwt.InvalidAudienceError):
            place.verify(token, f"http://{gate.host}")
        for name in (*spellings(b"Proof-Of-Person"), b"Proof!Of~Person", b"X-Gatekeeper-Assertion"):
            for path, sent in (("/open/page", ""), ("/page", cookie)):
                application.clear()
                with closing(http.client.HTTPConnection("127.0.0.1", gate.port, timeout=20)) as connection:
                    connection.request("GET", path, headers={name.decode(): "forged", "Cookie": sent})
                    assert connection.getresponse().status == 200
                assert b"forged" not in application.arrived[0].head, name


def test_switched_off_there_is_neither_assertion_nor_key(tmp_path: Path) -> None:
    with (
        recording() as application,
        whole(
            tmp_path,
            f"http://127.0.0.1:{application.port}",
            identity={"assertion": {"header": ""}},
        ) as gate,
    ):
        place = Place(gate, application)
        assert place.arrived("/", gate.cookie(gate.add_user("ada"))) == []
        assert b"eyJ" not in application.arrived[0].head
        assert place.ask("/_gate/jwks.json")[0].status == 404


def test_the_keys_are_for_everybody_and_may_be_kept_for_a_while(place: Place) -> None:
    got, body = place.ask("/_gate/jwks.json", Host="gatekeeper.internal")
    assert (got.status, got.getheader("content-type")) == (200, "application/jwk-set+json")
    assert got.getheader("cache-control") == "public, max-age=300"
    assert got.getheader("set-cookie") is None and got.getheader("vary") is None
    assert int(got.getheader("content-length", "")) == len(body)
    (key,) = json.loads(body)["keys"]
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert "d" not in key
    head, nothing = place.ask("/_gate/jwks.json", method="HEAD")
    assert (head.status, nothing) == (200, b"")
    assert head.getheader("content-length") == str(len(body))
    posted, _ = place.ask("/_gate/jwks.json", method="POST")
    assert (posted.status, posted.getheader("allow")) == (405, "GET, HEAD")
