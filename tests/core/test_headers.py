"""Headers: nothing that a client wrote can pass for something Gatekeeper wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.cookies import CookieNames
from gatekeeper.core.headers import (
    HOP_BY_HOP,
    RequestHeaders,
    answer_headers,
    header_lines,
    normalise_name,
    private_cache_control,
)

NAMES = CookieNames.make("gatekeeper", secure=True)
IDENTITY = ((b"remote-user", b"ada"), (b"remote-groups", b"operations"))
ALL_IDENTITY = ("Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Staff")


def forward(
    headers: list[tuple[bytes, bytes]], identity: tuple[tuple[bytes, bytes], ...] = IDENTITY, **options: bool
) -> list[tuple[bytes, bytes]]:
    maker = RequestHeaders(
        identity_names=ALL_IDENTITY,
        own_cookies=NAMES.all_spellings(),
        scheme="https",
        drop_overrides=options.get("drop_overrides", False),
    )
    return maker.forward(headers, identity, client="192.0.2.7", host="office.example.com", request_id="r1")


FORGED = [
    b"remote-user",
    b"remote_user",
    b"remote.user",
    b"remote-groups",
    b"remote_groups",
    b"remote-name",
    b"remote.email",
    b"x-staff",
    b"x_staff",
    b"x.staff",
    b"x-gatekeeper-assertion",
    b"x_gatekeeper_assertion",
    b"x-forwarded-for",
    b"x_forwarded_for",
    b"x-forwarded-user",
    b"x-forwarded-anything",
    b"forwarded",
    b"x-real-ip",
    b"x_real.ip",
    b"x-original-url",
    b"x-rewrite-url",
    b"x-original-uri",
    b"proxy",
    b"x-request-id",
    b"x-auth-request-user",
    b"remote!user",
    b"remote~groups",
    b"x!forwarded-for",
    b"x~real~ip",
    b"proxy_authorization",
    b"content_length",
    b"transfer_encoding",
    b"transfer.encoding",
    b"keep_alive",
    b"proxy-authorization",
    b"te",
    b"trailer",
]


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("identity", [IDENTITY, ()], ids=["signed-in", "public"])
def test_a_forged_header_is_removed_in_every_spelling(
    name: bytes, identity: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert b"forged" not in b" ".join(value for _, value in forward([(name, b"forged")], identity))


def test_connection_cannot_take_out_what_gatekeeper_writes_nor_the_framing() -> None:
    sent = forward(
        [
            (b"host", b"office.example.com"),
            (b"connection", b"Remote-User, x-forwarded-for, Content-Length, X-Hop, host"),
            (b"content-length", b"3"),
            (b"x-hop", b"1"),
        ]
    )
    names = [name for name, _ in sent]
    assert (b"remote-user", b"ada") in sent
    assert (b"x-forwarded-for", b"192.0.2.7") in sent
    assert b"content-length" in names and b"host" in names
    assert b"x-hop" not in names and b"connection" not in names


def test_our_cookies_stay_with_us_and_the_applications_own_go_on() -> None:
    cookie = b"theme=dark; __Host-gatekeeper=secret; gatekeeper=x; __Host-gatekeeper_csrf=y; sid=1"
    assert (b"cookie", b"theme=dark; sid=1") in forward([(b"cookie", cookie)])
    assert b"cookie" not in [name for name, _ in forward([(b"cookie", b"__Host-gatekeeper=secret")])]


def test_proxy_headers_are_written_fresh() -> None:
    sent = dict(forward([(b"x-forwarded-for", b"203.0.113.9"), (b"forwarded", b"for=203.0.113.9")]))
    assert sent[b"x-forwarded-for"] == b"192.0.2.7"
    assert sent[b"x-forwarded-proto"] == b"https"
    assert sent[b"x-forwarded-host"] == b"office.example.com"
    assert sent[b"forwarded"] == b'for=192.0.2.7;host="office.example.com";proto=https'
    assert sent[b"x-request-id"] == b"r1"


def test_method_overrides_go_when_rules_look_at_methods() -> None:
    override = [(b"x-http-method-override", b"DELETE"), (b"x_http_method", b"PUT")]
    assert len(forward(override)) - len(forward([])) == 2
    assert forward(override, drop_overrides=True) == forward([], drop_overrides=True)


SEPARATORS = "-_.!#$%&'*+^`|~"
"""All token characters that are neither letter nor digit (RFC 9110 section 5.6.2)."""


def spelled(name: str) -> st.SearchStrategy[bytes]:
    def spell(choices: list[int]) -> bytes:
        return "".join(
            "-_."[c] if ch == "-" else ch for ch, c in zip(name.lower(), choices, strict=True)
        ).encode()

    return st.lists(st.integers(0, 2), min_size=len(name), max_size=len(name)).map(spell)


TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-_.0", min_size=1, max_size=20).map(str.encode)
HEADER_NAME = st.one_of(
    TOKEN, *(spelled(name) for name in ALL_IDENTITY), st.sampled_from([b"connection", b"cookie", *HOP_BY_HOP])
)
HEADERS = st.lists(
    st.tuples(HEADER_NAME, st.sampled_from([b"mallory", b"Remote-User", b"remote_user, x-staff", b"a=b"])),
    max_size=12,
)


@settings(max_examples=10_000, deadline=None)
@given(HEADERS)
def test_no_header_set_lets_a_clients_identity_through(headers: list[tuple[bytes, bytes]]) -> None:
    identity_names = {normalise_name(name.encode()) for name in ALL_IDENTITY}
    for identity in (IDENTITY, ()):
        arrived = [pair for pair in forward(headers, identity) if normalise_name(pair[0]) in identity_names]
        assert tuple(arrived) == identity


def test_no_field_for_shared_caches_alone_leaves_with_a_protected_answer() -> None:
    sent = [
        (b"CDN-Cache-Control", b"max-age=9"),
        (b"surrogate-control", b"x"),
        (b"acme-cdn-cache-control", b"y"),
    ]
    assert answer_headers(sent, own_cookies=frozenset(), private=True) == [(b"cache-control", b"private")]
    assert answer_headers(sent, own_cookies=frozenset(), private=False) == sent


def test_the_application_cannot_set_our_cookies() -> None:
    own = NAMES.all_spellings()
    headers = [
        (b"Set-Cookie", b"__Host-gatekeeper=fixed; Path=/; Secure"),
        (b"set-cookie", b" gatekeeper = fixed"),
        (b"set-cookie", b"sid=1"),
    ]
    left = answer_headers(headers, own_cookies=own, private=False)
    assert left == [(b"set-cookie", b"sid=1")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"private"),
        (b"no-store", b"no-store"),
        (b"private, max-age=5", b"private, max-age=5"),
        (b"public, max-age=5", b"private, max-age=5"),
        (b"max-age=5, s-maxage=9", b"private, max-age=5"),
        (b"no-cache", b"private, no-cache"),
        (b'private="set-cookie"', b"private"),
        (b"private, public", b"private"),
        (b"no-store=0, public, max-age=9", b"private, no-store=0, max-age=9"),
        (b"no-store, s-maxage=9", b"no-store"),
    ],
)
def test_protected_answers_stay_out_of_shared_caches(before: bytes | None, after: bytes) -> None:
    assert private_cache_control(before) == after


@pytest.mark.parametrize("bad", [b"a\r\nSet-Cookie: b", b"a\r", b"a\n", b"\x00", b"\x7f"])
def test_no_value_can_end_its_line(bad: bytes) -> None:
    assert header_lines(((b"a", b"b"), (b"c", b""))) == b"a: b\r\nc: \r\n"
    for pair in ((b"a", bad), (bad, b"a")):
        with pytest.raises(ValueError, match="control character"):
            header_lines((pair,))
