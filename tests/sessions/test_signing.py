"""The cookie's value opens nothing unless it is exactly one that was made here."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.sessions.signing import CookieSigner, session_key

OLD, NEW = "old-secret-old-secret-old-secret", "new-secret-new-secret-new-secret"


@given(st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read_back(session_id: bytes) -> None:
    signer = CookieSigner([NEW])
    assert signer.read(signer.sign(session_id).encode()) == session_id


def test_the_first_secret_signs_and_all_verify() -> None:
    cookie = CookieSigner([OLD]).sign(b"i" * 32).encode()
    assert CookieSigner([NEW, OLD]).read(cookie) == b"i" * 32
    assert CookieSigner([NEW]).read(cookie) is None
    assert CookieSigner([NEW, OLD]).sign(b"i" * 32) == CookieSigner([NEW]).sign(b"i" * 32)


@given(st.integers(0, 86), st.integers(0, 255))
def test_no_byte_of_it_can_be_changed(place: int, byte: int) -> None:
    signer = CookieSigner([NEW])
    cookie = bytearray(signer.sign(b"i" * 32).encode())
    if cookie[place] == byte:
        return
    cookie[place] = byte
    assert signer.read(bytes(cookie)) is None


@pytest.mark.parametrize("change", [b"%s=", b"%s\n", b" %s", b"%s.", b'"%s"', b"%s%s"])
def test_no_other_spelling_is_accepted(change: bytes) -> None:
    signer = CookieSigner([NEW])
    cookie = signer.sign(b"i" * 32).encode()
    assert signer.read(change.replace(b"%s", cookie)) is None


@given(st.binary(max_size=200))
def test_anything_else_is_refused_without_an_error(cookie: bytes) -> None:
    assert CookieSigner([NEW]).read(cookie) is None


def test_no_secret_is_an_error_and_not_an_open_door() -> None:
    with pytest.raises(ValueError, match="secret"):
        CookieSigner([])


def test_the_store_knows_a_hash_only() -> None:
    assert session_key(b"i" * 32) != b"i" * 32 and len(session_key(b"i" * 32)) == 32
