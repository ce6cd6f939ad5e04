"""Return addresses, hosts and clients, kinds of requests, cookies, the end of a session."""

from __future__ import annotations

import re
import time
from ipaddress import ip_network
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.clock import SteadyClock
from gatekeeper.core.context import Kind
from gatekeeper.core.cookies import CookieNames, find_cookie, without_cookies
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.identity import IdentityNames, header_maker
from gatekeeper.core.kinds import judge_kind
from gatekeeper.core.returns import safe_return
from gatekeeper.core.session import EndReason, SessionRecord, Timeouts, UserRecord, ended
from gatekeeper.core.users import login_key


@pytest.mark.parametrize("value", ["/", "/orders?x=1&y=%2F", "/a#part", "/a//b", "/a?next=//x", "/_gatex"])
def test_a_path_of_ours_is_a_place_to_return_to(value: str) -> None:
    assert safe_return(value, "/_gate") == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "orders",
        "//evil.example",
        "/\\evil.example",
        "///x",
        "https://evil.example",
    ]
    + ["javascript:alert(1)", "/a\r\nSet-Cookie: x=1", "/a b", "/café", "/_gate", "/_gate/logout", "/_gate?x"]
    + ["/%5fgate/logout", "/a\\b", "/%2f%2fevil.example", "/%5cevil", "/" + "a" * 5000, "\t//evil.example"],
)
def test_anything_else_leads_home(value: str) -> None:
    assert safe_return(value, "/_gate") == "/"


@settings(max_examples=3_000, deadline=None)
@given(st.text("/\\:@.?#%25fFcC \t\r\nae", max_size=20))
def test_no_return_address_leaves_the_origin(value: str) -> None:
    arrived = urlsplit(urljoin("https://office.example.com/_gate/login", safe_return(value, "/_gate")))
    assert (arrived.scheme, arrived.netloc) == ("https", "office.example.com")


@pytest.mark.parametrize(
    "host", [b"office.example.com", b"OFFICE.example.com", b"office.example.com.", b"office.example.com:443"]
)
def test_our_host_in_every_valid_spelling(host: bytes) -> None:
    assert OurHosts(["office.example.com"], "https").find(host) == "office.example.com"


@pytest.mark.parametrize(
    "host",
    [b"", b"evil.example", b"office.example.com:80", b"office.example.com@evil.example", b"\xff", b".."],
)
def test_a_foreign_host_is_not_ours(host: bytes) -> None:
    assert OurHosts(["office.example.com"], "https").find(host) is None


def test_nobody_is_believed_about_the_client_unless_listed() -> None:
    nobody = TrustedProxies()
    assert nobody.client("10.0.0.1", [b"203.0.113.9"]) == "10.0.0.1"
    some = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    assert some.client("192.0.2.1", [b"203.0.113.9"]) == "192.0.2.1"
    assert some.client("10.0.0.1", [b"203.0.113.9"]) == "203.0.113.9"
    assert some.client("10.0.0.1", [b"6.6.6.6, 203.0.113.9", b" 10.1.1.1"]) == "203.0.113.9"
    assert some.client("::ffff:10.0.0.1", [b"[2001:db8::1]:4711"]) == "2001:db8::1"
    assert some.client("fd00::1", [b"203.0.113.9:55"]) == "203.0.113.9"
    assert some.client("10.0.0.1", [b"203.0.113.9, unknown"]) == "10.0.0.1"
    assert some.client("10.0.0.1", [b"10.2.2.2, 10.3.3.3"]) == "10.2.2.2"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, Kind.NAVIGATION),
        ({"sec-fetch-mode": "cors", "accept": "text/html"}, Kind.BACKGROUND),
        ({"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, Kind.BACKGROUND),
        ({"sec-fetch-mode": "navigate", "sec-fetch-dest": "object"}, Kind.BACKGROUND),
        ({"accept": "text/html,*/*"}, Kind.NAVIGATION),
        ({"accept": "*/*"}, Kind.BACKGROUND),
        ({}, Kind.BACKGROUND),
        ({"accept": "text/html", "x-requested-with": "XMLHttpRequest"}, Kind.BACKGROUND),
        ({"sec-fetch-mode": "navigate", "sec-purpose": "prefetch;prerender"}, Kind.BACKGROUND),
    ],
)
def test_a_person_waits_or_a_script(headers: dict[str, str], kind: Kind) -> None:
    names = ("sec-fetch-mode", "sec-fetch-dest", "accept", "x-requested-with", "sec-purpose")
    values = [headers[name].encode() if name in headers else None for name in names]
    assert judge_kind(*values) is kind


def test_cookie_names_follow_the_scheme() -> None:
    assert CookieNames.make("gk", secure=True).session == "__Host-gk"
    assert CookieNames.make("gk", secure=True, domain="example.com").session == "__Secure-gk"
    assert CookieNames.make("gk", secure=False).csrf == "gk_csrf"


def test_a_cookie_sent_twice_with_different_values_is_not_believed() -> None:
    assert find_cookie([(b"cookie", b"a=1; gk=x; b=2")], b"gk") == b"x"
    assert find_cookie([(b"cookie", b"gk=x; gk=x")], b"gk") == b"x"
    assert find_cookie([(b"cookie", b"gk=x; gk=y")], b"gk") is None
    assert find_cookie([(b"cookie", b"gk=x"), (b"cookie", b"gk=y")], b"gk") is None
    assert find_cookie([(b"cookie", b"xgk=1; gkx=2")], b"gk") is None
    assert find_cookie([(b"cookie", b'a=" gk=forged"; gkx=2')], b"gk") is None
    assert find_cookie([(b"cookie", b"a=1;gk=x ;b=2")], b"gk") == b"x"
    assert find_cookie([(b"cookie", b"xgk=1; gk=x")], b"gk") == b"x"
    assert without_cookies(b"gk=x;a=1 ;  gk = y", frozenset([b"gk"])) == b"a=1"


def record(*, last_seen_at: float = 1000.0, grace_until: float = 0.0) -> SessionRecord:
    return SessionRecord(
        b"k" * 32, 1, 0, 1000.0, last_seen_at, False, "pwd", 1000.0, 0.0, "", "", grace_until
    )


def test_a_session_ends_in_the_second_of_its_deadline_not_before() -> None:
    limits = Timeouts(idle=900, absolute=28_800)
    assert ended(record(), limits, 1899.999) is None
    assert ended(record(), limits, 1900) is EndReason.IDLE
    busy = record(last_seen_at=29_799.0)
    assert ended(busy, limits, 29_799.999) is None
    assert ended(busy, limits, 29_800) is EndReason.ABSOLUTE
    assert ended(record(grace_until=1010), limits, 1009.9) is None
    assert ended(record(grace_until=1010), limits, 1010) is EndReason.REPLACED
    assert ended(record(last_seen_at=1599), limits, 1599.9, complete=False) is None
    assert ended(record(last_seen_at=1599), limits, 1600, complete=False) is EndReason.UNFINISHED


def steady(*readings: tuple[float, float]) -> list[float]:
    """What a clock says that reads these (wall, monotonic) times; the first is its making."""
    wall, monotonic = iter([at for at, _ in readings]), iter([ticks for _, ticks in readings])
    clock = SteadyClock(lambda: next(wall), lambda: next(monotonic))
    return [clock() for _ in readings[1:]]


def test_time_follows_the_wall_clock_forward() -> None:
    assert steady((100, 0), (105, 5), (105, 5), (9_000, 6)) == [105, 105, 9_000]


def test_time_never_goes_back_and_never_stands_still() -> None:
    assert steady((100, 0), (105, 5), (50, 6), (51, 7), (108.5, 8)) == [105, 106, 107, 108.5]
    assert steady((100, 0), (40, 1), (30, 11), (35, 16)) == [101, 111, 116]


def test_a_pause_between_the_two_readings_puts_no_clock_ahead() -> None:
    # Read at 100 on the wall, then half a second of nothing, then the monotonic clock.
    assert steady((100, 0.5), (100.6, 0.6), (101, 1.0)) == [100.6, 101]


def test_the_real_clock_is_the_walls() -> None:
    assert abs(SteadyClock()() - time.time()) < 1.0


def test_logins_compare_under_nfkc_and_casefold() -> None:
    assert login_key("  Straße ") == login_key("STRASSE")
    assert login_key("ﬁona") == login_key("FIONA")
    assert login_key("ada") != login_key("eve")


def test_identity_headers_hold_no_line_breaks() -> None:
    user = UserRecord(1, "ada\r\nX-Evil: 1", "Ada Ł", "", ("ops", "audit"), False, 0)
    made = dict(header_maker(IdentityNames(email=""))(user))
    assert made[b"remote-user"] == b"adaX-Evil: 1"
    assert made[b"remote-name"] == "Ada Ł".encode()
    assert made[b"remote-groups"] == b"ops,audit"
    assert b"remote-email" not in made


@pytest.mark.parametrize(
    ("name", "utf_8", "rfc8187"),
    [
        ("Ada", b"Ada", b"Ada"),
        ("Jürgen Groß", "Jürgen Groß".encode(), b"UTF-8''J%C3%BCrgen%20Gro%C3%9F"),
        ("李", "李".encode(), b"UTF-8''%E6%9D%8E"),
        ("UTF-8''Ada", b"UTF-8''Ada", b"UTF-8''UTF-8%27%27Ada"),
        ("A\r\nX-Evil: 1", b"AX-Evil: 1", b"AX-Evil: 1"),
        ("ü\x00\x85\ud800\x7f", "ü".encode(), b"UTF-8''%C3%BC"),
        (" ü ", "ü".encode(), b"UTF-8''%C3%BC"),
    ],
)
def test_names_beyond_ascii_are_bytes_of_utf_8_or_extended_values(
    name: str, utf_8: bytes, rfc8187: bytes
) -> None:
    user = UserRecord(1, "ada", name, "", ("ops", "prüfung, innen"), False, 0)
    plain = dict(header_maker(IdentityNames())(user))
    assert plain[b"remote-name"] == utf_8
    assert plain[b"remote-groups"] == "ops,prüfung, innen".encode()
    extended = dict(header_maker(IdentityNames(rfc8187=True))(user))
    assert extended[b"remote-name"] == rfc8187
    assert extended[b"remote-groups"] == b"ops,UTF-8''pr%C3%BCfung%2C%20innen"
    for value in extended.values():
        assert re.fullmatch(rb"[ -~]*", value)
