"""The names of fields, and never what is in them."""

from __future__ import annotations

import pytest

from gatekeeper.accounts.form_fields import field_names, is_form

URLENCODED = b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b"customer=Tea+%26+Co&note=secret&customer=x", ["customer", "note"]),
        (b"gr%C3%B6%C3%9Fe=3&first+name=x", ["größe", "first name"]),
        (b"csrfmiddlewaretoken=x&__VIEWSTATE=y&_method=put&total=1", ["total"]),
        (b"", []),
        (b"&&=x&a", ["a"]),
        (b"%FF%00=x", ["\N{REPLACEMENT CHARACTER}\0"]),
        (b"&".join(b"f%d=x" % at for at in range(100)), [f"f{at}" for at in range(40)]),
    ],
)
def test_urlencoded(body: bytes, names: list[str]) -> None:
    assert field_names(URLENCODED + b"; charset=utf-8", body) == names


def test_multipart() -> None:
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name="title"\r\n\r\nsecret --xyz name="no"\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n"
        b'--xyz\r\nContent-Disposition: form-data; filename="b"; name="a %22quote%22"\r\n\r\n\r\n--xyz--\r\n'
    )
    assert field_names(b'multipart/form-data; boundary="xyz"', body) == ["title", "file", 'a "quote"']
    assert field_names(b"multipart/form-data", body) == []
    assert field_names(b"multipart/form-data; boundary=other", body) == []


def test_what_is_a_form() -> None:
    assert is_form(URLENCODED)
    assert is_form(b"Multipart/Form-Data; boundary=x")
    assert not is_form(b"application/json")
    assert not is_form(b"text/plain")
