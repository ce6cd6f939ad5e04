"""Headers on their way to the application and back: what is taken out, what is written fresh.

Every forwarded request passes here, public paths too: first everything that a client could use to pose as
somebody else is removed in every spelling, then ours is added (RFC 9110 section 7.6.1; ASVS 5.0 V4.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from gatekeeper.core.cookies import sets_cookie, without_cookies
from gatekeeper.core.session import HeaderList

RawHeaders = Iterable[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer upgrade "
    b"http2-settings".split()
)
"""Headers about one connection. `transfer-encoding` is not among them: upstream needs it to know that a
body follows, and does its own framing."""

# How applications and frameworks learn who the user or the client is; an application behind a gate may
# trust any of them, whatever names the operator configured.
_CLAIMS = frozenset(
    b"remote-user remote-name remote-email remote-groups x-remote-user x-webauth-user "
    b"forwarded x-forwarded x-original-forwarded-for x-real-ip x-client-ip x-cluster-client-ip "
    b"true-client-ip client-ip cf-connecting-ip fastly-client-ip x-http-host-override "
    b"x-original-url x-original-uri x-original-method x-original-host x-rewrite-url x-host "
    b"x-request-id proxy".split()  # proxy: CVE-2016-5385
)
_CLAIM_PREFIXES = (b"x-forwarded-", b"x-gatekeeper-", b"x-auth-request-")
_METHOD_OVERRIDES = frozenset((b"x-http-method-override", b"x-http-method", b"x-method-override"))
_FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host"))
_TEXT = bytes([9, *range(32, 127), *range(128, 256)])
# Everything but letters and digits: lighttpd, for one, makes `_` of each of them on the way to CGI.
_SEPARATORS = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else 0x2D for byte in range(256))

_CACHE = b"cache-control"
_PRIVATE = (_CACHE, b"private")
_WIDER = frozenset((b"public", b"s-maxage", b"proxy-revalidate", b"private"))
_FOR_CACHES = (b"cdn-cache-control", b"surrogate-control")
"""Ends of names of fields that shared caches obey before Cache-Control (RFC 9213)."""
_SET_COOKIE_LENGTH, _CACHE_CONTROL_LENGTH = len(b"set-cookie"), len(_CACHE)

_KEEP, _DROP, _COOKIE, _CONNECTION = range(4)
_MEMO_LIMIT = 4096


def normalise_name(name: bytes) -> bytes:
    """The form under which header names collide behind CGI and WSGI.

    `Remote_User`, `Remote.User` and `Remote!User` are `remote-user`.
    """
    return name.lower().translate(_SEPARATORS)


class RequestHeaders:
    """Makes the header list of a forwarded request. Verdicts on names are remembered, bounded."""

    def __init__(
        self,
        *,
        identity_names: Iterable[str],
        own_cookies: frozenset[bytes],
        scheme: str,
        drop_overrides: bool,
    ) -> None:
        self._identity = frozenset(normalise_name(name.encode("ascii")) for name in identity_names)
        self._own_cookies = own_cookies
        self._scheme = scheme.encode("ascii")
        self._drop_overrides = drop_overrides
        self._verdicts: dict[bytes, int] = {}
        self._known_rest = lru_cache(4096)(self._rest)  # the same browser sends the same again
        self._added: dict[tuple[str, str], HeaderList] = {}

    def forward(
        self, headers: RawHeaders, identity: HeaderList, *, client: str, host: str, request_id: str
    ) -> list[tuple[bytes, bytes]]:
        """The cleaned headers, then identity, then what a proxy adds. Names must be lower case (ASGI)."""
        verdicts = self._verdicts
        kept: list[tuple[bytes, bytes]] = []
        listed: set[bytes] | None = None
        for pair in headers:
            name = pair[0]
            verdict = verdicts.get(name)
            if verdict is None:
                verdict = self._judge(name)
            if verdict == _KEEP:
                kept.append(pair)
            elif verdict == _COOKIE:
                value = pair[1]
                if cookies := (self._known_rest if len(value) <= 1024 else self._rest)(value):
                    kept.append((name, cookies))
            elif verdict == _CONNECTION:
                listed = listed or set()
                listed.update(token.strip(b" \t").lower() for token in pair[1].split(b","))
        if listed and (listed := listed - _FRAMING):
            kept = [pair for pair in kept if pair[0] not in listed]
        kept += identity
        added = self._added.get((client, host))
        kept += self._write_added(client, host) if added is None else added
        kept.append((b"x-request-id", request_id.encode("ascii")))
        return kept

    def _rest(self, cookies: bytes) -> bytes:
        return without_cookies(cookies, self._own_cookies)

    def _write_added(self, client: str, host: str) -> HeaderList:
        """What a proxy says of its client: X-Forwarded-* and Forwarded (RFC 7239), remembered, bounded."""
        address, name = client.encode("ascii", "replace"), host.encode("ascii")
        node = b'"[' + address + b']"' if b":" in address else address or b"unknown"
        added = (
            (b"x-forwarded-for", address or b"unknown"),
            (b"x-forwarded-proto", self._scheme),
            (b"x-forwarded-host", name),
            (b"forwarded", b"for=" + node + b';host="' + name + b'";proto=' + self._scheme),
        )
        if len(self._added) >= _MEMO_LIMIT:
            self._added.clear()
        self._added[client, host] = added
        return added

    def _judge(self, name: bytes) -> int:
        plain = normalise_name(name)
        if plain in (b"cookie", b"connection"):
            verdict = (_COOKIE if plain == b"cookie" else _CONNECTION) if plain == name else _DROP
        elif (
            plain in HOP_BY_HOP
            or plain in _CLAIMS
            or plain in self._identity
            or plain.startswith(_CLAIM_PREFIXES)
            or (plain in _METHOD_OVERRIDES and self._drop_overrides)
            or (plain in _FRAMING and plain != name)  # Content_Length becomes CONTENT_LENGTH somewhere
            or (plain == b"transfer-encoding" and plain != name)
        ):
            verdict = _DROP
        else:
            verdict = _KEEP
        if len(self._verdicts) < _MEMO_LIMIT:
            self._verdicts[name] = verdict
        return verdict


def header_lines(headers: HeaderList) -> bytes:
    """`headers` as they are sent. Raises ValueError for what would end a line or the head."""
    lines = b"".join(b"%b: %b\r\n" % pair for pair in headers)
    if len(lines.translate(None, _TEXT)) != 2 * len(headers):
        raise ValueError("control character in a header")
    return lines


def answer_headers(
    headers: RawHeaders, *, own_cookies: frozenset[bytes], private: bool, set_cookies: Iterable[bytes] = ()
) -> list[tuple[bytes, bytes]]:
    """The application's answer on its way out: it cannot set our cookies, and no shared cache may keep it.

    `private` is False on public paths, whose caching is the application's own affair.
    """
    kept: list[tuple[bytes, bytes]] = []
    cache_control: bytes | None = None
    for pair in headers:
        # Most names are told apart by their length: lower() would cost more than all the rest.
        if len(pair[0]) == _SET_COOKIE_LENGTH and pair[0].lower() == b"set-cookie":
            if sets_cookie(pair[1], own_cookies):
                continue
        elif private and len(pair[0]) == _CACHE_CONTROL_LENGTH and pair[0].lower() == b"cache-control":
            cache_control = pair[1] if cache_control is None else cache_control + b"," + pair[1]
            continue
        elif private and len(pair[0]) > _CACHE_CONTROL_LENGTH and pair[0].lower().endswith(_FOR_CACHES):
            continue
        kept.append(pair)
    if private:
        kept.append(_PRIVATE if cache_control is None else (_CACHE, private_cache_control(cache_control)))
    kept.extend((b"set-cookie", value) for value in set_cookies)
    return kept


def private_cache_control(value: bytes | None) -> bytes:
    """`value` made at least `private` (RFC 9111 section 5.2.2.7), its other directives kept."""
    if value is None:
        return b"private"
    directives = [part for part in (part.strip(b" \t") for part in value.split(b",")) if part]
    kept = [part for part in directives if part.split(b"=", 1)[0].strip().lower() not in _WIDER]
    if any(part.lower() == b"no-store" for part in kept):
        return b", ".join(kept)
    return b", ".join([b"private", *kept])
