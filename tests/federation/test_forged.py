"""Forged and broken answers of the provider, through all of Gatekeeper: each has its page, none a session.

What is wrong with a token is judged in tests/providers; here it is what a person sees, and what is left.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import jwt
import pytest
import sqlalchemy as sa

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving as serving_app
from gatekeeper.providers.messages import MESSAGES
from gatekeeper.storage import tables
from tests.idp.directory import (
    CLIENT_ID,
    OTHER_TENANT,
    PASSWORD,
    SECRET,
    TENANT,
    Directory,
    Signer,
    signer,
)
from tests.idp.server import Idp, serving
from tests.stack.whole import Whole, whole

LOGIN = "pat@example.com"
MARKUP = '<script>alert("x")</script>'


class World:
    """One gate and one provider for all stories."""

    def __init__(self, gate: Whole, idp: Idp) -> None:
        self.gate = gate
        self.idp = idp
        self.place = f"http://{gate.host}/_gate/sso/microsoft"

    def fresh(self) -> None:
        """The provider knows one person, and does nothing wrong."""
        self.idp.directory.__dict__.update(Directory().__dict__)
        self.idp.directory.registrations[0].redirect_uris.add(f"{self.place}/callback")

    def sessions(self) -> int:
        async def count(services: Services) -> int:
            async with services.db.read() as conn:
                found = await conn.scalar(sa.select(sa.func.count()).select_from(tables.sessions))
                return int(found or 0)

        return self.gate.call(count)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with serving() as idp, serving_app(make_sample()) as port:
        microsoft = {
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "tenant": TENANT,
            "authority": idp.authority,
            "ca_file": str(idp.ca_file),
        }
        folder = tmp_path_factory.mktemp("gate")
        unlimited = {"providers": {"client": "unlimited", "total": "unlimited"}}
        upstream = f"http://127.0.0.1:{port}"
        with whole(folder, upstream, microsoft=microsoft, rate_limits=unlimited) as gate:

            async def add(services: Services) -> None:
                await services.users.add(LOGIN, name="Pat Example", by=Source("test"))

            gate.call(add)
            yield World(gate, idp)


@pytest.fixture
def world(running: World) -> World:
    running.fresh()
    return running


def walk(world: World) -> httpx.Response:
    """Out, sign in there, and back; the answer to the callback."""
    with httpx.Client(trust_env=False) as browser:
        out = browser.get(f"{world.place}?next=/orders")
        assert out.status_code == 303, out.text
        there = world.idp.sign_in(out.headers["location"])
        assert there.status_code == 302, there.text
        return browser.get(there.headers["location"])


def title(answer: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text)
    assert found is not None, answer.text
    return found[1]


def expect_page(answer: httpx.Response, code: str) -> None:
    message = MESSAGES[code]
    assert (answer.status_code, title(answer)) == (
        message.status,
        message.title.replace("{provider}", "Microsoft"),
    )
    assert re.search(r"<code>[0-9a-f]{16}</code>", answer.text), "the reference"
    for reflected in ("alert", "evil", "eyJ"):
        assert reflected not in answer.text
    cookies = answer.headers.get_list("set-cookie")
    assert not any(line.startswith("gatekeeper=") for line in cookies)


def test_the_true_answer_signs_in(world: World) -> None:
    answer = walk(world)
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders")


Forgery = Callable[[dict[str, Any], Signer], object]


def _with(**changes: Any) -> Forgery:
    """A token that is true but for some claims; None takes one out."""

    def forge(claims: dict[str, Any], key: Signer) -> object:
        changed = {**claims, **{name: v(claims) if callable(v) else v for name, v in changes.items()}}
        return key.sign({name: value for name, value in changed.items() if value is not None})

    return forge


def _alg_none(claims: dict[str, Any], _key: Signer) -> object:
    return jwt.encode(claims, "", "none")


def _public_key_as_secret(claims: dict[str, Any], key: Signer) -> object:
    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": key.kid}).encode())
    body = head + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.digest(key.public_pem(), body, hashlib.sha256))).decode()


TOKENS: list[tuple[str, Forgery]] = [
    ("alg none", _alg_none),
    ("HS256 with the public key", _public_key_as_secret),
    ("another key under our id", lambda claims, key: signer("other").sign(claims, kid=key.kid)),
    ("a key that nobody publishes", lambda claims, _key: signer("other").sign(claims)),
    ("another issuer", _with(iss="https://evil.example/v2.0")),
    ("another tenant's issuer", _with(iss=lambda c: c["iss"].replace(TENANT, OTHER_TENANT))),
    ("another audience", _with(aud="ffffffff-bbbb-4ccc-8ddd-eeeeeeeeeeee")),
    ("another nonce", _with(nonce="evil")),
    ("no nonce", _with(nonce=None)),
    ("no audience", _with(aud=None)),
    ("no expiry", _with(exp=None)),
    ("no object id", _with(oid=None)),
    ("no tenant", _with(tid=None)),
    ("another tenant", _with(tid=OTHER_TENANT)),
    ("markup for an object id", _with(oid=MARKUP)),
    ("no token", lambda _claims, _key: None),
    ("no token but markup", lambda _claims, _key: MARKUP),
    ("a list for a token", lambda _claims, _key: [1, 2]),
    ("a token cut short", lambda claims, key: key.sign(claims)[:-10]),
    ("another payload", lambda claims, key: _swapped(key.sign(claims), key.sign({**claims, "oid": "x"}))),
]


def _swapped(one: str, other: str) -> str:
    head, _, signature = one.split(".")
    return f"{head}.{other.split('.')[1]}.{signature}"


@pytest.mark.parametrize("forgery", [each for _, each in TOKENS], ids=[name for name, _ in TOKENS])
def test_a_forged_token_is_refused_with_a_page(world: World, forgery: Forgery) -> None:
    before = world.sessions()
    world.idp.directory.faults.token = forgery
    expect_page(walk(world), "token_invalid")
    assert world.sessions() == before


@pytest.mark.parametrize(
    "times", [{"exp": -4_000.0, "iat": -8_000.0}, {"nbf": 4_000.0, "iat": 4_000.0, "exp": 8_000.0}]
)
def test_a_token_of_another_time_is_refused_with_a_page(world: World, times: dict[str, float]) -> None:
    before = world.sessions()
    now = time.time()
    world.idp.directory.faults.token = _with(**{name: int(now + by) for name, by in times.items()})
    answer = walk(world)
    assert title(answer) in {MESSAGES[code].title for code in ("token_invalid", "clock_skew")}
    assert answer.status_code == 403 and world.sessions() == before


ANSWERS: list[tuple[str, Callable[[dict[str, str]], str], str]] = [
    ("another state", lambda sent: urlencode(sent | {"state": "evil"}), "state_mismatch"),
    ("no state", lambda sent: urlencode({"code": sent["code"]}), "state_missing"),
    ("two states", lambda sent: urlencode(sent) + "&state=evil", "callback_invalid"),
    ("two codes", lambda sent: urlencode(sent) + "&code=evil", "callback_invalid"),
    ("code and error", lambda sent: urlencode(sent | {"error": "access_denied"}), "callback_invalid"),
    ("another code", lambda sent: urlencode(sent | {"code": "evil"}), "flow_expired"),
    (
        "markup for an error",
        lambda sent: urlencode({"state": sent["state"], "error": MARKUP, "error_description": MARKUP}),
        "provider_error",
    ),
    (
        "a known number with markup",
        lambda sent: urlencode(
            {"state": sent["state"], "error": "x", "error_description": f"AADSTS65001: {MARKUP}"}
        ),
        "consent",
    ),
]


@pytest.mark.parametrize(
    ("change", "code"), [(change, code) for _, change, code in ANSWERS], ids=[name for name, *_ in ANSWERS]
)
def test_a_forged_answer_is_refused_with_a_page(
    world: World, change: Callable[[dict[str, str]], str], code: str
) -> None:
    before = world.sessions()
    world.idp.directory.faults.callback = change
    expect_page(walk(world), code)
    assert world.sessions() == before


def test_an_answer_counts_once(world: World) -> None:
    before = world.sessions()
    with httpx.Client(trust_env=False) as browser:
        out = browser.get(f"{world.place}?next=/orders")
        there = world.idp.sign_in(out.headers["location"]).headers["location"]
        cookies = dict(browser.cookies)
        assert browser.get(there).headers["location"] == "/orders"
        with httpx.Client(trust_env=False, cookies=cookies) as thief:
            expect_page(thief.get(there), "flow_expired")
    assert world.sessions() == before + 1


def test_somebody_elses_state_with_ones_own_code(world: World) -> None:
    """Two flows at once, and their codes exchanged: each code is bound to its verifier and nonce."""
    with httpx.Client(trust_env=False) as one, httpx.Client(trust_env=False) as other:
        answers = []
        for browser in (one, other):
            out = browser.get(f"{world.place}?next=/orders")
            answers.append(dict(parse_qsl(world.idp.callback(out.headers["location"]).decode())))
        mixed = urlencode({"state": answers[0]["state"], "code": answers[1]["code"]})
        expect_page(one.get(f"{world.place}/callback?{mixed}"), "state_mismatch")


def test_wrong_secrets_are_the_operators_affair(world: World) -> None:
    world.idp.directory.registrations[0].secret = "another"
    answer = walk(world)
    expect_page(answer, "secret_invalid")
    assert "AADSTS7000215" in answer.text and PASSWORD not in answer.text and SECRET not in answer.text
