"""Requests that pose as somebody, in every spelling; data, for public and for protected paths."""

from __future__ import annotations

from tests.server.cases import HOST, Case, Reached, chunked, get, head, passed, post

CLAIMS = (
    # Who the user is: our names, and those that other gates use.
    *b"Remote-User Remote-Name Remote-Email Remote-Groups X-Remote-User X-WebAuth-User".split(),
    *b"X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username".split(),
    *b"X-Forwarded-Access-Token X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups".split(),
    *b"X-Gatekeeper-Assertion X-Gatekeeper-User X-Gatekeeper-Anything".split(),
    # Who the client is, and under which address it came.
    *b"X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port X-Forwarded-Server".split(),
    *b"X-Forwarded-Prefix X-Forwarded-Uri X-Forwarded-Method X-Forwarded-Ssl X-Forwarded Forwarded".split(),
    *b"X-Original-Forwarded-For CF-Connecting-IP Fastly-Client-IP X-HTTP-Host-Override".split(),
    *b"X-Real-IP X-Client-IP True-Client-IP X-Cluster-Client-IP Client-IP X-Host Proxy X-Request-Id".split(),
    # Which page is wanted: applications that believe these serve another path than the one judged.
    *b"X-Original-URL X-Original-URI X-Original-Method X-Original-Host X-Rewrite-URL".split(),
    # About one connection only.
    *b"Keep-Alive Proxy-Connection Proxy-Authorization Proxy-Authenticate TE HTTP2-Settings".split(),
)


def spellings(name: bytes) -> list[bytes]:
    """As other programs fold them together: case, `_` and `.` for `-` (CGI, WSGI, some proxies)."""
    folded = [name, name.lower(), name.upper(), name.swapcase()]
    for sign in (b"_", b"."):
        folded += [name.replace(b"-", sign), name.lower().replace(b"-", sign, 1)]
    return list(dict.fromkeys(folded))


GET = Reached("GET", b"/a")
POSTED = Reached("POST", b"/a", b"hello")


def _connection(listed: bytes, *fields: bytes) -> Case:
    return passed(
        f"listed in Connection: {listed.decode()} {len(fields)}", get(b"Connection: " + listed, *fields)
    )


FORGERIES = [
    *(
        passed(f"forged {name.decode()}", get(name + b": root", target=b"/a"))
        for claim in CLAIMS
        for name in spellings(claim)
    ),
    passed("all claims at once", get(*[claim + b": root" for claim in CLAIMS])),
    passed("a claim with an empty value", get(b"Remote-User:")),
    passed("a claim with an 8-bit value", get(b"Remote-User: \xc3\xa9")),
    passed(
        "claims among headers that pass", get(b"X: 1", b"Remote-User: root", b"Accept: a", b"remote_user: b")
    ),
    passed("claims with a body", post(b"Remote_User: root", b"Content-Length: 5", body=b"hello"), POSTED),
    passed(
        "claims in trailers",
        chunked(b"5\r\nhello\r\n0\r\nRemote-User: root\r\nX-Forwarded-For: 6.6.6.6\r\nCookie: a=b\r\n\r\n"),
        POSTED,
    ),
    passed(
        "claims in announced trailers",
        chunked(b"5\r\nhello\r\n0\r\nRemote-User: root\r\n\r\n", b"Trailer: Remote-User", b"TE: trailers"),
        POSTED,
    ),
    passed(
        "absolute-form with a claim",
        get(b"Remote-User: root", target=b"http://" + HOST + b"/a"),
    ),
    passed(
        "absolute-form against X-Original-URL",
        get(b"X-Original-URL: /secret", target=b"https://" + HOST + b"/a?b"),
        Reached("GET", b"/a?b"),
    ),
    # Whoever can name a header of ours in Connection could have a proxy behind us take it out.
    _connection(b"Remote-User"),
    _connection(b"Remote-User", b"Remote-User: root"),
    _connection(b"remote_user", b"Remote_User: root"),
    _connection(b"close-not, Remote-User, Remote-Groups", b"Remote-Groups: root"),
    _connection(b"X-Forwarded-For"),
    _connection(b"X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Request-Id"),
    passed("an ordinary header listed in Connection", get(b"Connection: X-Secret", b"X-Secret: 1")),
    passed("a chain of X-Forwarded-For", get(b"X-Forwarded-For: 6.6.6.6, 10.0.0.1, 127.0.0.1")),
    passed("X-Forwarded-For twice", get(b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-For: 127.0.0.1")),
    passed(
        "Forwarded with everything", get(b'Forwarded: for="[::1]";host=evil.example.com;by=_x;proto=https')
    ),
    Case("HTTP/1.0 with a claim", head(b"GET /a HTTP/1.0", b"Remote-User: root"), (200,), (GET,)),
]

OWN_COOKIES = (
    *b"gatekeeper gatekeeper_csrf gatekeeper_device gatekeeper_remember gatekeeper_bounce".split(),
    *b"__Host-gatekeeper __Secure-gatekeeper __Host-gatekeeper_csrf __Secure-gatekeeper_device".split(),
)

COOKIES: list[tuple[str, list[bytes], bytes | None]] = [
    *((f"own cookie {name.decode()}", [name + b"=stolen"], None) for name in OWN_COOKIES),
    ("foreign cookies stay as they are", [b'a=1; b="x y"; c=;d'], b'a=1; b="x y"; c=;d'),
    ("own first", [b"gatekeeper=x; a=1"], b"a=1"),
    ("own last", [b"a=1; gatekeeper=x"], b"a=1"),
    ("own between", [b"a=1; gatekeeper=x; b=2"], b"a=1; b=2"),
    ("own twice", [b"gatekeeper=x; a=1; gatekeeper=y"], b"a=1"),
    ("own without a space", [b"gatekeeper=x;a=1;gatekeeper_csrf=y"], b"a=1"),
    ("own with spaces", [b"a=1;  gatekeeper =x ;\tgatekeeper_csrf=y"], b"a=1"),
    ("own without a value", [b"a=1; gatekeeper"], b"a=1"),
    ("own with an empty value", [b"gatekeeper=; a=1"], b"a=1"),
    ("own in quotes", [b'gatekeeper="x"; a=1'], b"a=1"),
    ("own in a second header", [b"gatekeeper=x", b"a=1"], b"a=1"),
    ("nothing but own in two headers", [b"gatekeeper=x", b"gatekeeper_csrf=y"], None),
    (
        "another's name that begins like ours",
        [b"gatekeeperx=1; xgatekeeper=2"],
        b"gatekeeperx=1; xgatekeeper=2",
    ),
    ("ours inside another's value", [b"a=gatekeeper=x"], b"a=gatekeeper=x"),
]
"""(name, Cookie headers sent, the one Cookie header that reaches the application, None for none)."""

TRICKS = (
    # One decoding or normalisation away from /secret, which is denied; everything else is public.
    *b"/secret /secret/ /secret/x /%73ecret /secre%74/x /secret?x /secret/%78".split(),
    *b"/a/../secret /./secret /a/%2e%2e/secret /%2e/secret /a/.%2e/secret /a/%2E%2E/secret".split(),
    *b"/a/..%2fsecret /a%2f..%2fsecret /a/..%5csecret /a\\..\\secret /\\secret /%5csecret".split(),
    *b"//secret /a//secret //secret//x ///secret /secret;x /;/secret /a;/../secret /secret;a=b/c".split(),
    *b"/%2fsecret /secret%2fx /%252e%252e/secret /a/%252e%252e/secret /%2573ecret /%%37%33ecret".split(),
    *b"/a/..;/secret /a/%2e%2e;/secret /secret%00 /secret%00.html /secret%0a /secret%0d%0aX:1".split(),
    *b"/%c0%ae%c0%ae/secret /%e0%80%af/secret /%c1%9csecret /\xe3\x80\xae /%u0073ecret /%7 /% /%zz".split(),
    *b"/a/%ef%bc%8e%ef%bc%8e%ef%bc%8fsecret%ff /secret%c2%80 /secret%7f /..%00/secret".split(),
    b"http://" + HOST + b"/secret",
    b"http://" + HOST + b"/a/../secret",
    b"http://" + HOST + b"//secret",
    b"http://" + HOST + b"/a/%2e%2e/secret",
)
