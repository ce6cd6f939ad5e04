"""What an assertion says, how long it holds, and that one is never sent where it is not true."""

from __future__ import annotations

from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gatekeeper.assertions.keys import NoSigningKey, SigningKey
from gatekeeper.assertions.maker import AssertionMaker
from gatekeeper.core.session import Session, Timeouts
from tests.assertions.support import START, person, session_of, unverified

PRIVATE = ec.generate_private_key(ec.SECP256R1())
ORDERS = "https://orders.example.com"
TIMEOUTS = Timeouts(idle=900.0, absolute=28_800.0)


class Signer:
    """Counts signatures."""

    def __init__(self, *, lifetime: float = 60.0, known: int = 100) -> None:
        self.signed = 0
        self.maker = AssertionMaker(
            self._key,
            header="X-Gatekeeper-Assertion",
            issuer="https://office.example.com",
            lifetime=lifetime,
            timeouts=TIMEOUTS,
            random_name=lambda: f"name-{self.signed}",
            known=known,
        )

    def _key(self, now: float) -> SigningKey:
        self.signed += 1
        return SigningKey("the-key", PRIVATE)

    def token(
        self, session: Session, now: float = START, audience: str = ORDERS, *, active: bool = True
    ) -> bytes:
        ((name, token),) = self.maker.lines(session, audience, now, active=active)
        assert name == b"x-gatekeeper-assertion"
        return token


def test_it_says_who_is_asking_and_how_they_signed_in() -> None:
    session = session_of(
        person("pat", "audit", "ops"), methods="pwd otp", first=START - 90, second=START - 30
    )
    token = Signer().token(session, START + 0.7)
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "the-key", "typ": "JWT"}
    assert unverified(token) == {
        "iss": "https://office.example.com",
        "aud": ORDERS,
        "sub": "7",
        "preferred_username": "pat",
        "name": "Pat Doe",
        "email": "pat@example.com",
        "roles": ["audit", "ops"],
        "auth_time": START - 30,
        "amr": ["pwd", "otp", "mfa"],
        "iat": START,
        "exp": START + 60,
        "jti": "name-0",
    }
    options = {"verify_exp": False, "verify_iat": False}
    jwt.decode(token, PRIVATE.public_key(), algorithms=["ES256"], audience=ORDERS, options=options)  # type: ignore[arg-type]


def test_a_trusted_browser_is_no_proof() -> None:
    assert unverified(Signer().token(session_of(methods="pwd trusted")))["amr"] == ["pwd"]


def test_which_provider_signed_somebody_in_is_not_told() -> None:
    assert unverified(Signer().token(session_of(methods="fed idp:microsoft")))["amr"] == ["fed"]


@pytest.mark.parametrize(
    ("session", "active", "expires"),
    [
        (session_of(), True, 60),
        (session_of(created=START - 28_790.0), True, 10),
        (session_of(seen=START - 880.0), False, 20),
        (session_of(seen=START - 880.0), True, 60),
        (session_of(grace=START + 7.0), True, 7),
        (session_of(grace=START + 7.9), True, 7),
        (session_of(created=START - 28_799.5), True, 1),
    ],
    ids=["whole", "absolute end", "idle end", "activity", "replaced", "rounded down", "the last second"],
)
def test_it_holds_no_longer_than_the_session(session: Session, active: bool, expires: int) -> None:
    assert unverified(Signer().token(session, active=active))["exp"] == START + expires


def test_one_is_sent_for_half_of_its_life() -> None:
    signer = Signer()
    tokens = {signer.token(session_of(seen=START + after), START + after) for after in (0.0, 10.0, 29.9)}
    assert (len(tokens), signer.signed) == (1, 1)
    late = signer.token(session_of(seen=START + 30.0), START + 30.0)
    assert late not in tokens and unverified(late)["exp"] == START + 90


CHANGES: list[tuple[str, Callable[[], Session]]] = [
    ("fewer roles", lambda: session_of(person("pat"))),
    ("another login", lambda: session_of(person("patricia", "ops"))),
    ("another name", lambda: session_of(person("pat", "ops")._replace(name="Pat Roe"))),
    ("another mail address", lambda: session_of(person("pat", "ops")._replace(email=""))),
    ("a second factor", lambda: session_of(person("pat", "ops"), methods="pwd otp", second=START)),
    ("the id was replaced", lambda: session_of(person("pat", "ops"), grace=START + 5.0)),
]


@pytest.mark.parametrize(("what", "after"), CHANGES, ids=[what for what, _ in CHANGES])
def test_what_changed_is_in_the_next_one(what: str, after: Callable[[], Session]) -> None:
    signer = Signer()
    before = signer.token(session_of(person("pat", "ops")), START)
    changed = signer.token(after(), START + 1.0)
    assert changed != before and signer.signed == 2
    assert unverified(changed)["roles"] == list(after().user.roles)


def test_nobody_gets_somebody_elses() -> None:
    signer = Signer()
    ours = signer.token(session_of(key=b"a" * 32))
    theirs = signer.token(session_of(person("kim", number=8), key=b"b" * 32))
    assert [unverified(token)["sub"] for token in (ours, theirs)] == ["7", "8"]
    assert unverified(signer.token(session_of(person("kim", number=8), key=b"a" * 32)))["sub"] == "8"


def test_each_application_gets_its_own() -> None:
    signer = Signer()
    audiences = [ORDERS, "payroll", ORDERS]
    tokens = [signer.token(session_of(), audience=audience) for audience in audiences]
    assert [unverified(token)["aud"] for token in tokens] == audiences
    assert signer.signed == 2


def test_the_table_is_bounded() -> None:
    signer = Signer(known=8)
    for number in range(100):
        signer.token(session_of(key=bytes([number]) * 32))
    assert len(signer.maker._kept) <= 8
    signer.token(session_of(key=bytes([99]) * 32))
    assert signer.signed == 100, "the latest are kept"


def test_after_a_withdrawal_everything_is_signed_anew() -> None:
    signer = Signer()
    signer.token(session_of())
    signer.maker.forget()
    signer.token(session_of())
    assert signer.signed == 2


def test_without_a_key_there_is_no_assertion_and_no_way_past_it() -> None:
    def no_key(now: float) -> SigningKey:
        raise NoSigningKey

    maker = AssertionMaker(no_key, header="X", issuer="", lifetime=60.0, timeouts=TIMEOUTS)
    with pytest.raises(NoSigningKey):
        maker.lines(session_of(), ORDERS, START, active=True)
