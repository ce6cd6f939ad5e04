"""Whatever a stranger writes into it: every parser of ours answers or refuses, and never breaks.

The server's head and body are fuzzed in tests/server/test_fuzz.py, the configuration file in
tests/settings/test_fuzz.py, with the same switch (tests/fuzz.py).
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Opcode

from gatekeeper.core.cookies import CookieNames, find_cookie, sets_cookie, without_cookies
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.headers import RequestHeaders, normalise_name, private_cache_control
from gatekeeper.core.hosts import OurHosts, TrustedProxies
from gatekeeper.core.kinds import judge_kind
from gatekeeper.core.origins import origin_allowed
from gatekeeper.core.returns import safe_return
from gatekeeper.core.target import Leniency, parse_target
from gatekeeper.sessions.signing import CookieSigner
from gatekeeper.upstream.websocket_frames import FrameTracker
from tests.fuzz import fuzz
from tests.websocket.support import closing, masked, unmasked

QUICK = 200


def joined(alphabet: str, longest: int = 16) -> st.SearchStrategy[bytes]:
    """The pieces of `alphabet` (between spaces) in any order, and bytes of any kind among them."""
    pieces = st.sampled_from([*alphabet.encode().split(b" "), b" ", b"\t", b"\x00", b"\r\n", b"\xff"])
    return st.lists(pieces, max_size=longest).map(b"".join) | st.binary(max_size=60)


PATHS = joined("/ // . .. a Z %2e %2F %5c \\ ; ? # %25 %00 %c3%a9 %c0%af % %4 %zz : @ ~ é").map(
    lambda tail: b"/" + tail
)
LENIENCIES = st.builds(Leniency, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@fuzz(QUICK)
@given(PATHS | st.binary(max_size=40), joined("a = & ? # / %00 é"), LENIENCIES)
def test_request_targets(path: bytes, query: bytes, leniency: Leniency) -> None:
    try:
        target = parse_target(path, query, leniency)
    except RequestRejected as error:
        assert error.status == 400
        assert error.reason
        return
    assert (target.raw, target.query) == (path, query)
    assert target.path.encode() == unquote_to_bytes(path)
    for reading in target.readings:
        assert reading.startswith("/")
        assert not {".", ".."} & set(reading.split("/"))
        assert not set(reading) & set("\\\x00\r\n")


NAMES = CookieNames.make("gatekeeper", secure=True)
OWN = NAMES.all_spellings()
COOKIES = joined('; = "; a gatekeeper __Host-gatekeeper __Host-gatekeeper= __Secure-gatekeeper= x , _csrf é')


@fuzz(QUICK)
@given(st.lists(COOKIES, max_size=3))
@example([b"__Host-gatekeeper= ="])
def test_cookies(values: list[bytes]) -> None:
    session = NAMES.session.encode()
    found = find_cookie([(b"cookie", value) for value in values], session)
    pairs = [pair.strip(b" \t") for value in values for pair in value.split(b";")]
    candidates = {pair.partition(b"=")[2] for pair in pairs if pair.startswith(session + b"=")}
    assert found == (candidates.pop() if len(candidates) == 1 else None)
    for value in values:
        left = without_cookies(value, OWN)
        names = [pair.partition(b"=")[0].strip(b" \t") for pair in left.split(b";")]
        assert not set(names) & OWN
        assert left in value.strip(b" \t") or left.count(b";") < value.count(b";")
        assert sets_cookie(value, OWN) == (value.split(b";")[0].partition(b"=")[0].strip(b" \t") in OWN)
        CookieSigner(["k" * 32]).read(value)


HOPS = joined(
    "127.0.0.1 10.0.0.1 6.6.6.6 , : [ ] ::1 ::ffff:10.0.0.1 fe80::1%eth0 :443 unknown _x for= é 256.1.1.1"
)
PROXIES = TrustedProxies([ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128")])


@fuzz(QUICK)
@given(st.sampled_from(["127.0.0.1", "6.6.6.6", "::1", "", "x"]), st.lists(HOPS, max_size=3))
def test_forwarded_for(peer: str, chain: list[bytes]) -> None:
    client = PROXIES.client(peer, chain)
    if client != peer:
        ip_address(client)
    if peer in ("6.6.6.6", "", "x"):
        assert client == peer, "an unlisted peer was believed"


HEADERS = st.lists(
    st.tuples(
        joined(
            "remote - _ . user groups x forwarded for cookie connection content length transfer encoding te a"
        ).map(bytes.lower),
        joined("root , remote-user X-Forwarded-For close Cookie gatekeeper= ; a"),
    ),
    max_size=8,
)
CLEANER = RequestHeaders(
    identity_names=["Remote-User", "Remote-Groups"], own_cookies=OWN, scheme="https", drop_overrides=True
)


@fuzz(QUICK)
@given(HEADERS)
def test_headers_on_their_way_to_the_application(headers: list[tuple[bytes, bytes]]) -> None:
    identity = ((b"remote-user", b"ada"),)
    sent = CLEANER.forward(headers, identity, client="127.0.0.1", host="a.example", request_id="0" * 16)
    names = [normalise_name(name) for name, _ in sent]
    assert sent.count((b"remote-user", b"ada")) == 1
    for name in (b"remote-user", b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"x-request-id"):
        assert names.count(name) == 1
    assert not {b"remote-groups", b"connection", b"te"} & set(names)


@fuzz(QUICK)
@given(
    st.text("/\\:@.?#%25fFcC \t\r\n\x00aeé_gt", max_size=24)
    | st.text(max_size=24)
    | st.text("/.\\%2fe5cgat_", max_size=16).map(lambda tail: "/" + tail)
)
def test_return_addresses(value: str) -> None:
    place = safe_return(value, "/_gate")
    arrived = urlsplit(urljoin("https://office.example.com/_gate/login", place))
    assert (arrived.scheme, arrived.netloc) == ("https", "office.example.com")
    assert place.isascii() and place.isprintable() and " " not in place
    assert place == "/" or place == value
    path = unquote(arrived.path)
    assert path != "/_gate" and not path.startswith("/_gate/")


HOSTS = OurHosts(["office.example.com", "[::1]:8443"], "https")


@fuzz(QUICK)
@given(
    joined(
        "office . example com OFFICE.EXAMPLE.COM office.example.com : :443 443 8443 [ ] [::1] ::1 @ / % é ,"
    )
)
def test_hosts_and_origins(value: bytes) -> None:
    found = HOSTS.find(value)
    if found is not None:
        assert value.decode("ascii").lower().rstrip(".").startswith(("office.example.com", "[::1]:8443"))
        assert found in ("office.example.com", "[::1]:8443")
    assert origin_allowed([(b"origin", value)], {"https://office.example.com"}) == (
        value == b"https://office.example.com"
    )
    judge_kind(value, value, value, value, value)
    assert {b"private", b"no-store"} & {
        part.strip(b" \t").lower().split(b"=")[0] for part in private_cache_control(value).split(b",")
    }


FRAMES = st.lists(
    st.one_of(
        st.builds(
            lambda code, payload, fin, rsv, mask: (masked if mask else unmasked)(
                code, payload, fin=fin, rsv=rsv
            ),
            st.integers(0, 15),
            st.binary(max_size=140),
            st.booleans(),
            st.sampled_from([0, 0, 0, 4, 1]),
            st.sampled_from([True, True, True, False]),
        ),
        st.just(closing()),
        st.binary(max_size=16),
        st.integers(0, 2**64 - 1).map(lambda size: b"\x82\xff" + size.to_bytes(8, "big")),
    ),
    max_size=6,
).map(b"".join)


@fuzz(QUICK)
@given(FRAMES, st.lists(st.integers(1, 60), max_size=12), st.booleans(), st.booleans())
def test_websocket_frames(stream: bytes, cuts: list[int], client: bool, compressed: bool) -> None:
    whole = FrameTracker(masked=client, compressed=compressed, message_max=300)
    pieces = FrameTracker(masked=client, compressed=compressed, message_max=300)
    passed, position = b"", 0
    for cut in [*cuts, len(stream)]:
        passed += pieces.feed(stream[position : position + cut])
        position += cut
    assert stream.startswith(passed)
    assert passed == whole.feed(stream)
    assert (pieces.error, pieces.closed) == (whole.error, whole.closed)
    assert whole.error in (0, 1002, 1009)
    if whole.error or (whole.closed and whole.at_boundary):
        assert whole.feed(masked(Opcode.TEXT, b"more")) == b""
