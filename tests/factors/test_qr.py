"""The QR code: what it says, and that a strict page passes it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
import segno

from gatekeeper.factors import qr, totp
from tests.factors.decoder import decode, modules

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


@pytest.mark.parametrize(
    ("account", "issuer"),
    [
        ("pat@example.com", "Back office"),
        ("p", "B"),
        ("zoë.müller+backoffice@a-rather-long-name.example.com", "Integration"),
    ],
)
def test_a_phone_reads_the_address(account: str, issuer: str) -> None:
    address = totp.uri(SECRET, account=account, issuer=issuer)
    assert decode(qr.svg(address)) == address


def test_the_modules_are_those_of_the_library() -> None:
    code = segno.make_qr("otpauth://totp/x", error="m", boost_error=False)
    assert modules(qr.svg("otpauth://totp/x")) == [
        [bool(bit) for bit in row] for row in code.matrix_iter(border=4)
    ]


def test_nothing_in_it_needs_an_exception_from_the_content_security_policy() -> None:
    svg = qr.svg("otpauth://totp/x")
    assert re.search(r"style|script|href|url\(|\son\w+=", svg) is None
    tags = [element.tag.partition("}")[2] for element in ElementTree.fromstring(svg).iter()]
    assert tags == ["svg", "path", "path"]


def test_dark_on_light_whatever_the_page() -> None:
    root = ElementTree.fromstring(qr.svg("otpauth://totp/x"))
    ground, code = root
    size = root.attrib["viewBox"].split()[2]
    assert (ground.attrib["fill"], ground.attrib["d"]) == ("#ffffff", f"M0 0h{size}v{size}H0z")
    assert code.attrib["fill"] == "#000000"


def test_a_screen_reader_says_what_it_is() -> None:
    root = ElementTree.fromstring(qr.svg("otpauth://totp/x", label='QR code for "Pat" & <Sam>'))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'QR code for "Pat" & <Sam>'
