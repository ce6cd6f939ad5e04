"""Links begin with `public_url`, and hold a token whatever is in it."""

from __future__ import annotations

from gatekeeper.mail.links import Links

LINKS = Links("https://app.example.com:8443", "/_gate")


def test_links_lead_to_our_pages() -> None:
    assert LINKS.recovery("a-b_c") == "https://app.example.com:8443/_gate/reset?token=a-b_c"
    assert LINKS.invitation("t") == "https://app.example.com:8443/_gate/invite?token=t"
    assert LINKS.unlock("t") == "https://app.example.com:8443/_gate/unlock?token=t"
    assert LINKS.sign_in() == "https://app.example.com:8443/_gate/login"
    assert LINKS.password() == "https://app.example.com:8443/_gate/password"
    assert LINKS.forgot() == "https://app.example.com:8443/_gate/forgot"


def test_a_token_stays_one_value() -> None:
    assert (
        LINKS.unlock("a&next=//b/#?")
        == "https://app.example.com:8443/_gate/unlock?token=a%26next%3D%2F%2Fb%2F%23%3F"
    )
