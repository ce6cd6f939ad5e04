"""The session script in the application's pages, and everything else as it was."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.context import Facts, Kind, RequestContext
from gatekeeper.core.protocols import Message, Receive, Scope, Send
from gatekeeper.core.session import Session, SessionRecord, UserRecord
from gatekeeper.core.target import Target
from gatekeeper.upstream.csp import Addresses
from gatekeeper.upstream.session_script import CAP, ScriptTag, SessionScript
from tests.upstream.harness import HeaderPairs, Now, application, proxy, run
from tests.upstream.harness import scope as plain_scope

TAG = ScriptTag(
    "/_gate/static/session.js?v=0123",
    "/_gate",
    Addresses("https://office.example.com", "/_gate/static/session.js", "/_gate/session"),
)
SCRIPT = b'<script src="/_gate/static/session.js?v=0123" defer data-prefix="/_gate"></script>'
HTML = (b"content-type", b"text/html; charset=utf-8")
PAGE = "<!doctype html><html><head><title>Größe 😀</title></head><body>€</body></html>".encode()
WITH = PAGE.replace(b"<head>", b"<head>" + SCRIPT)
PAT = Session(
    SessionRecord(b"k" * 32, 1, 0, 0.0, 0.0, False, "pwd", 0.0, 0.0, "192.0.2.1", ""),
    UserRecord(1, "pat", "Pat", "", (), False, 0),
    "",
    (),
)


class Site:
    """An application that gives one answer, in these pieces; remembers how it was asked."""

    def __init__(
        self, pieces: Iterable[bytes] = (PAGE,), *headers: tuple[bytes, bytes], status: int = 200
    ) -> None:
        self.pieces = list(pieces)
        self.headers = [HTML, *headers]
        self.status = status
        self.asked: dict[bytes, bytes] = {}
        self.pause: asyncio.Event | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked = dict(scope["headers"])
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        for index, piece in enumerate(self.pieces):
            if index and self.pause is not None:
                await self.pause.wait()
            more = index < len(self.pieces) - 1
            await send({"type": "http.response.body", "body": piece, "more_body": more})


class Got:
    """An answer as the server is given it."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.complete = False
        self.news = asyncio.Event()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert self.status == 0
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            assert self.status and not self.complete
            self.body += message["body"]
            self.complete = not message["more_body"]
        self.news.set()


def asking(
    headers: HeaderPairs | None = None,
    *,
    method: str = "GET",
    dest: bytes | None = b"document",
    kind: Kind = Kind.NAVIGATION,
    session: Session | None = PAT,
) -> Scope:
    fields = [*(headers or [])]
    if dest is not None:
        fields.append((b"sec-fetch-dest", dest))
    facts = Facts(method, "https", "office.example.com", Target(b"/", b"", "/", ("/",)), "192.0.2.1", kind)
    return {**plain_scope(method, headers=fields), "gatekeeper": RequestContext("1", facts, session)}


def layer(site: Any, left_out: list[str] | None = None, **options: Any) -> SessionScript:
    def failed(error: BaseException) -> None:
        raise error

    told = left_out.append if left_out is not None else pytest.fail
    return SessionScript(site, TAG, on_left_out=told, on_error=failed, **options)


async def _never() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def ask(script: SessionScript, scope: Scope | None = None) -> Got:
    got = Got()
    await script(asking() if scope is None else scope, _never, got.send)
    assert got.complete
    return got


def fetched(site: Any, scope: Scope | None = None, left_out: list[str] | None = None) -> Got:
    return run(ask(layer(site, left_out), scope))


# The page


def test_a_page_gets_the_script_once_and_is_the_same_otherwise() -> None:
    got = fetched(Site([PAGE], (b"content-length", b"%d" % len(PAGE))))
    assert bytes(got.body) == WITH
    assert got.headers[b"content-length"] == b"%d" % len(WITH)


def test_without_a_declared_length_none_is_made_up() -> None:
    got = fetched(Site())
    assert bytes(got.body) == WITH
    assert b"content-length" not in got.headers


@given(st.lists(st.integers(0, len(PAGE)), max_size=12))
def test_wherever_the_page_is_cut_it_gets_one_script(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(PAGE)]
    pieces = [PAGE[a:b] for a, b in itertools.pairwise(edges)]
    assert bytes(fetched(Site(pieces)).body) == WITH


LONG = ("<!doctype html><html lang='ü>'><!-- ä€😀 -->" + "<!-- 漢字 -->" * 40 + "<head>").encode()


def test_byte_by_byte_with_multibyte_characters_at_every_boundary() -> None:
    page = LONG + "<title>ä€😀</title></head><body>漢字 😀</body>".encode()
    got = fetched(Site([page[at : at + 1] for at in range(len(page))]))
    assert bytes(got.body) == page.replace(b"<head>", b"<head>" + SCRIPT)


@given(st.text(max_size=80), st.integers(1, 7))
def test_any_text_in_the_page_arrives_as_it_was(text: str, size: int) -> None:
    page = f"<html><head><title>{text}</title></head><body>{text}".encode()
    got = fetched(Site([page[at : at + size] for at in range(0, len(page), size)]))
    assert bytes(got.body) == page.replace(b"<head>", b"<head>" + SCRIPT, 1)


def test_what_comes_after_the_looked_at_beginning_is_complete() -> None:
    page = b"<!doctype html><html><head><style>" + b"x" * (3 * CAP) + b"</style></head><body>"
    for size in (len(page), CAP - 1, CAP, CAP + 1, 1000):
        got = fetched(Site([page[at : at + size] for at in range(0, len(page), size)]))
        assert bytes(got.body) == page.replace(b"<head>", b"<head>" + SCRIPT)


def test_a_page_whose_head_is_too_far_away_goes_without_and_it_is_said() -> None:
    left_out: list[str] = []
    page = b"<!doctype html><!--" + b"x" * CAP + b"--><head></head>"
    assert bytes(fetched(Site([page]), left_out=left_out).body) == page
    assert left_out == ["no-place"]


@pytest.mark.parametrize("status", [200, 201, 403, 404, 500])
def test_pages_of_errors_are_pages(status: int) -> None:
    assert bytes(fetched(Site(status=status)).body) == WITH


@pytest.mark.parametrize("dest", [b"document", b"iframe", b"frame", None])
def test_what_browsers_show_as_a_page_gets_it(dest: bytes | None) -> None:
    assert bytes(fetched(Site(), asking(dest=dest)).body) == WITH
    assert bytes(fetched(Site(), asking(dest=dest, method="POST")).body) == WITH


# What is left as it is


@pytest.mark.parametrize(
    "scope",
    [
        asking(method="HEAD"),
        asking(method="PUT"),
        asking(dest=b"empty"),
        asking(dest=b"image"),
        asking(dest=None, kind=Kind.BACKGROUND),
        asking(session=None),
        asking(session=PAT._replace(step="second_factor")),
    ],
)
def test_what_no_signed_in_person_looks_at_goes_without(scope: Scope) -> None:
    scope["headers"].append((b"accept-encoding", b"br"))
    site = Site([PAGE], (b"content-length", b"1"), (b"etag", b'"x"'))
    got = fetched(site, scope)
    assert bytes(got.body) == PAGE
    assert got.headers == {**dict(site.headers), b"vary": b"Sec-Fetch-Dest"}
    assert site.asked[b"accept-encoding"] == b"br"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, [(b"content-disposition", b"attachment; filename=x.html")]),
        (206, [(b"content-range", b"bytes 0-9/100")]),
        (302, [(b"location", b"/elsewhere")]),
        (205, []),
    ],
)
def test_downloads_ranges_and_redirects_are_untouched(status: int, headers: HeaderPairs) -> None:
    site = Site([PAGE], (b"etag", b'"x"'), (b"accept-ranges", b"bytes"), *headers, status=status)
    got = fetched(site)
    assert bytes(got.body) == PAGE
    assert {name: got.headers[name] for name, _ in site.headers} == dict(site.headers)


@pytest.mark.parametrize(
    "content_type", [b"application/xhtml+xml", b"text/plain", b"application/json", b"text/htmlx", b""]
)
def test_other_types_are_untouched(content_type: bytes) -> None:
    site = Site()
    site.headers = [(b"content-type", content_type)]
    got = fetched(site)
    assert (bytes(got.body), got.headers) == (PAGE, dict(site.headers))


@pytest.mark.parametrize("body", [b"<p>fragment</p>", b"", b"plain text", b'{"a": "<head>"}'])
def test_fragments_are_untouched(body: bytes) -> None:
    got = fetched(Site([body], (b"content-length", b"%d" % len(body)), (b"etag", b'"x"')))
    assert bytes(got.body) == body
    assert (got.headers[b"content-length"], got.headers[b"etag"]) == (b"%d" % len(body), b'"x"')


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ((b"content-encoding", b"gzip"), "compressed"),
        ((b"cache-control", b"private, No-Transform"), "no-transform"),
        ((b"content-type", b"text/html; charset=UTF-16LE"), "charset"),
        ((b"content-type", b'text/html;charset="iso-2022-jp"'), "charset"),
        ((b"content-security-policy", b"script-src 'none'"), "csp script-src"),
        ((b"content-security-policy", b"default-src 'self'; connect-src 'none'"), "csp connect-src"),
        ((b"content-security-policy", b"sandbox allow-scripts"), "csp sandbox"),
    ],
)
def test_a_page_that_cannot_have_it_is_untouched_and_it_is_said_once(
    header: tuple[bytes, bytes], reason: str
) -> None:
    left_out: list[str] = []
    site = Site()
    site.headers = [pair for pair in site.headers if pair[0] != header[0]] + [header]
    script = layer(site, left_out)
    for _ in range(3):
        assert bytes(run(ask(script)).body) == PAGE
    assert left_out == [reason]


def test_a_policy_within_the_page_counts_as_one_in_the_head() -> None:
    left_out: list[str] = []
    meta = b"<meta http-equiv=content-security-policy content=\"script-src 'nonce-abc'\">"
    page = PAGE.replace(b"<title>", meta + b"<title>")
    got = fetched(Site([page[at : at + 1] for at in range(len(page))]))
    assert bytes(got.body) == page.replace(
        b"<head>", b"<head>" + SCRIPT.replace(b"></s", b' nonce="abc"></s')
    )
    page = page.replace(b"nonce-abc", b"none")
    got = fetched(Site([page], (b"content-security-policy", b"script-src 'self'")), left_out=left_out)
    assert bytes(got.body) == page
    assert left_out == ["csp script-src"]


def test_the_page_s_nonce_is_used() -> None:
    got = fetched(Site([PAGE], (b"content-security-policy", b"script-src 'nonce-a+/=' 'strict-dynamic'")))
    assert b' data-prefix="/_gate" nonce="a+/="></script>' in got.body


def test_pages_without_the_script_are_remembered_for_a_while_frames_are_not() -> None:
    now = Now()
    script = layer(Site([PAGE], (b"content-security-policy", b"script-src 'none'")), [], now=now)
    assert not script.absent_within(900.0)
    run(ask(script, asking(dest=b"iframe")))
    assert not script.absent_within(900.0)
    run(ask(script))
    now.time += 899.0
    assert script.absent_within(900.0)
    now.time += 1.0
    assert not script.absent_within(900.0)


# Validators, compression, digests


def test_the_application_is_asked_not_to_compress_pages_and_only_pages() -> None:
    site = Site()
    fetched(site, asking([(b"accept-encoding", b"gzip, br")]))
    assert site.asked[b"accept-encoding"] == b"identity"


def test_what_was_computed_over_the_page_is_not_said_of_another() -> None:
    gone = [b"content-md5", b"digest", b"content-digest", b"repr-digest", b"accept-ranges"]
    got = fetched(Site([PAGE], *[(name, b"x") for name in gone]))
    assert not set(gone) & set(got.headers)


@pytest.mark.parametrize("etag", [b'"abc"', b'W/"abc"', b'""'])
def test_a_page_with_the_script_is_revalidated_and_no_other(etag: bytes) -> None:
    first = fetched(Site([PAGE], (b"etag", etag)))
    ours = first.headers[b"etag"]
    assert ours.startswith(b'W/"')
    assert ours != etag

    site = Site([b""], (b"etag", etag), status=304)
    again = fetched(site, asking([(b"if-none-match", b'"other", ' + ours), (b"if-modified-since", b"x")]))
    assert site.asked[b"if-none-match"] == etag
    assert b"if-modified-since" not in site.asked
    assert (again.status, again.headers[b"etag"]) == (304, ours)

    # The page without the script, from before it was switched on: that one is not current.
    fetched(site, asking([(b"if-none-match", etag), (b"if-modified-since", b"x")]))
    assert b"if-none-match" not in site.asked
    assert b"if-modified-since" not in site.asked
    # A script that asks for the same page gets it without ours, so ours must not match.
    fetched(site, asking([(b"if-none-match", ours)], dest=b"empty"))
    assert site.asked[b"if-none-match"] == ours


def test_a_page_with_another_script_is_another_page() -> None:
    other = ScriptTag("/_gate/static/session.js?v=4567", "/_gate", TAG.addresses)
    assert other.suffix != TAG.suffix


# While it streams


def test_the_rest_of_a_head_is_waited_for_a_moment_only() -> None:
    async def story() -> None:
        site = Site([b"<html><head><title>Report</title>", b"<link rel=x></head>", b"<body>slow"])
        site.pause = asyncio.Event()
        got = Got()
        script = layer(site, hold=0.02)
        task = asyncio.ensure_future(script(asking(), _never, got.send))
        while b"Report" not in got.body:
            got.news.clear()
            await got.news.wait()
        assert bytes(got.body) == b"<html><head>" + SCRIPT + b"<title>Report</title>"
        site.pause.set()
        await task
        assert got.body.endswith(b"<title>Report</title><link rel=x></head><body>slow")
        await script.aclose()

    run(story())


def test_after_the_head_every_piece_goes_on_at_once() -> None:
    async def story() -> None:
        site = Site([PAGE, b"first", b"second"])
        site.pause = asyncio.Event()
        got = Got()
        task = asyncio.ensure_future(layer(site, hold=60.0)(asking(), _never, got.send))
        while not got.body:
            got.news.clear()
            await got.news.wait()
        assert bytes(got.body) == WITH
        site.pause.set()
        await task
        assert bytes(got.body) == WITH + b"firstsecond"

    run(story())


def test_a_page_of_200_megabytes_takes_no_memory() -> None:
    piece = "<tr><td>Größe 😀</td></tr>\n".encode() * 2500
    pieces = 200_000_000 // len(piece) + 1

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [HTML]})
        await send({"type": "http.response.body", "body": PAGE, "more_body": True})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    size = 0

    async def count(message: Message) -> None:
        nonlocal size
        size += len(message.get("body", b""))

    tracemalloc.start()
    try:
        run(layer(endless)(asking(), _never, count), seconds=60)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == len(WITH) + pieces * len(piece)
    assert peak < 2_000_000


def test_through_the_proxy_lengths_and_chunks_are_right() -> None:
    async def story() -> None:
        answers = [
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%b" % (len(PAGE), PAGE),
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n"
            + b"".join(b"1\r\n%c\r\n" % byte for byte in PAGE)
            + b"0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\ncontent-type: text/html\r\n\r\n" + PAGE,
        ]

        async def serve(peer: Any) -> None:
            while answers:
                head = await peer.answer(answers.pop(0))
                assert b"accept-encoding: identity\r\n" in head
                if not head:
                    return

        async with application(serve) as fake, proxy(fake) as upstream:
            script = layer(upstream)
            first = await ask(script)
            assert bytes(first.body) == WITH
            assert first.headers[b"content-length"] == b"%d" % len(WITH)
            assert bytes((await ask(script)).body) == WITH
            assert bytes((await ask(script)).body) == WITH

    run(story())


def test_an_application_that_breaks_off_before_the_place_is_an_error_not_a_page() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [HTML]})
        await send({"type": "http.response.body", "body": b"<!doctype", "more_body": True})
        raise ConnectionError("gone")

    got = Got()
    with pytest.raises(ConnectionError):
        run(layer(breaks)(asking(), _never, got.send))
    assert got.status == 0  # so the gate can still say what happened
