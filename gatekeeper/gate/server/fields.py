"""The header fields that say where a request ends and whom it is for: each may come once, in one form."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatekeeper.core.errors import RequestRejected

if TYPE_CHECKING:
    from gatekeeper.gate.server.head import Head

Take = Callable[["Head", bytes], None]

TEXT = bytes([9, *range(32, 127), *range(128, 256)])
"""What a field line may consist of (RFC 9110 section 5.5)."""
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HOST = re.compile(rb"(?:([A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}))|\[([0-9A-Fa-f:.]{2,45})\])(?::([0-9]{1,5}))?")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_NOT_ALNUM = re.compile(rb"[^a-z0-9]")

_COMMON = (
    "Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers "
    "Access-Control-Request-Method Authorization Cache-Control Content-Disposition Content-Encoding "
    "Content-Language Content-Type Cookie DNT Forwarded From HX-Request If-Match If-Modified-Since "
    "If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Event-ID Origin Pragma Priority Purpose "
    "Range Referer Save-Data Sec-CH-UA Sec-CH-UA-Mobile Sec-CH-UA-Platform Sec-Fetch-Dest Sec-Fetch-Mode "
    "Sec-Fetch-Site Sec-Fetch-User Sec-GPC TE Upgrade-Insecure-Requests User-Agent Via X-Csrf-Token "
    "X-Forwarded-For X-Forwarded-Host X-Forwarded-Method X-Forwarded-Port X-Forwarded-Proto X-Forwarded-Uri "
    "X-Original-Host X-Original-Method X-Original-Scheme X-Original-URI X-Real-IP X-Request-ID "
    "X-Requested-With"
).split()

ORDINARY: dict[bytes, bytes] = {
    spelling.encode(): name.lower().encode()
    for name in _COMMON
    for spelling in (name, name.lower(), name.title())
}
"""Names that need no look: spelling to lower case. None of them is in `SPECIAL`."""

_REPEATED = frozenset(
    b"accept accept-charset accept-encoding accept-language cache-control content-type dnt origin pragma "
    b"priority purpose save-data sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode "
    b"sec-fetch-site sec-fetch-user sec-gpc te upgrade-insecure-requests user-agent via x-forwarded-host "
    b"x-forwarded-method x-forwarded-port x-forwarded-proto x-original-host x-original-method "
    b"x-original-scheme x-requested-with".split()
)
_MET_MAX = 2048
_MET_LINE_MAX = 256
met_before: dict[bytes, tuple[bytes, bytes]] = {}
"""Header lines that clients repeat, with what they were read as. None of them can hold a secret or say
anything about framing, and each has been through `read_line`."""

_MET_NAME_MAX = 64
_met_names: dict[bytes, tuple[bytes, Take | None]] = {}
"""Other field names met so far. Filled up with nonsense, it leaves the next ones to cost what they cost."""

_HOSTS_MAX = 64
_hosts: set[bytes] = set()
"""Valid Host values met so far: nearly all requests repeat one of a few."""

_UNCLEAR = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})
_NOT_OPTIONS = frozenset({b"host", b"content-length", b"transfer-encoding", b"cookie", b"authorization"})


def lower_name(name: bytes) -> bytes:
    """A valid field name in lower case. Raises `RequestRejected` for anything that is not a token.

    `Content_Length` and its like are refused: to many applications they are the same variable.
    """
    if TOKEN.fullmatch(name) is None:
        raise RequestRejected(400, "header_name")
    lower = name.lower()
    if lower not in SPECIAL and _NOT_ALNUM.sub(b"-", lower) in _UNCLEAR:
        raise RequestRejected(400, "header_name")
    return lower


def _host(head: Head, value: bytes) -> None:
    """RFC 9112 section 3.2: exactly one, and a host with an optional port."""
    if head.host is not None:
        raise RequestRejected(400, "host_repeated")
    if value not in _hosts:
        if not valid_host(value):
            raise RequestRejected(400, "host_invalid")
        if len(_hosts) < _HOSTS_MAX:
            _hosts.add(value)
    head.host = value


def valid_host(value: bytes) -> bool:
    """A name, an IPv4 or a bracketed IPv6 address, with an optional port (RFC 3986 section 3.2.2)."""
    match = _HOST.fullmatch(value)
    if match is None or (match[3] is not None and int(match[3]) > 65535):
        return False
    if match[2] is None:
        return True
    try:
        ipaddress.IPv6Address(match[2].decode("ascii"))
    except ValueError:
        return False
    return True


def _content_length(head: Head, value: bytes) -> None:
    if head.length is not None:
        raise RequestRejected(400, "content_length_repeated")
    if _LENGTH.fullmatch(value) is None:
        raise RequestRejected(400, "content_length_invalid")
    head.length = int(value)


def _transfer_encoding(head: Head, value: bytes) -> None:
    if head.transfer_encoding is not None:
        raise RequestRejected(400, "transfer_encoding_repeated")
    head.transfer_encoding = value.lower()


def _connection(head: Head, value: bytes) -> None:
    if value == b"keep-alive":
        head.connection += (value,)
        return
    options = tuple(option.strip(b" \t") for option in value.lower().split(b","))
    for option in options:
        # RFC 9110 section 7.6.1: an empty list member is tolerated, a field meant for everybody is not.
        if option in _NOT_OPTIONS or (option and TOKEN.fullmatch(option) is None):
            raise RequestRejected(400, "connection_option")
    head.connection += options


def _expect(head: Head, value: bytes) -> None:
    if value.lower() != b"100-continue" or head.expect:
        raise RequestRejected(417, "expectation")
    head.expect = True


def _upgrade(head: Head, value: bytes) -> None:
    head.upgrade = value.lower() if head.upgrade is None else b""


def _http2_settings(head: Head, value: bytes) -> None:
    if head.upgrade is None:
        head.upgrade = b""


SPECIAL: dict[bytes, Take] = {
    b"host": _host,
    b"content-length": _content_length,
    b"transfer-encoding": _transfer_encoding,
    b"connection": _connection,
    b"expect": _expect,
    b"upgrade": _upgrade,
    b"http2-settings": _http2_settings,
}


SPELLED: dict[bytes, tuple[bytes, Take | None]] = {
    spelling: (name, take) for name, take in SPECIAL.items() for spelling in (name, name.title())
}


def look_up(name: bytes) -> tuple[bytes, Take | None]:
    """Any other field name in lower case, and what is to be done with its value. Raises `RequestRejected`."""
    lower = lower_name(name)
    found = lower, SPECIAL.get(lower)
    if len(_met_names) < _MET_MAX and len(name) <= _MET_NAME_MAX:
        _met_names[name] = found
    return found


def read_line(line: bytes, head: Head) -> tuple[bytes, bytes]:
    """One header line as (name in lower case, value); a field with a meaning here is noted in `head`.

    The line consists of TEXT: whoever calls has made sure of that. Raises `RequestRejected`.
    """
    name, colon, value = line.partition(b":")
    if not colon:
        raise RequestRejected(400, "header_line")
    value = value.strip(b" \t")
    lower = ORDINARY.get(name)
    if lower is None:
        lower, take = SPELLED.get(name) or _met_names.get(name) or look_up(name)
        if take is not None:
            take(head, value)
    elif lower in _REPEATED and len(line) <= _MET_LINE_MAX:
        if len(met_before) >= _MET_MAX:
            met_before.clear()
        met_before[line] = (lower, value)
    return lower, value


def settle(head: Head) -> None:
    """What the fields mean together. Raises `RequestRejected` (RFC 9112 sections 3.2 and 6.1 to 6.3)."""
    if head.host is None:
        raise RequestRejected(400, "host_missing")
    if head.authority is not None and head.authority.lower() != head.host.lower():
        raise RequestRejected(400, "host_contradicts_target")
    if head.transfer_encoding is not None:
        _settle_transfer_encoding(head, head.transfer_encoding)
    if head.expect and (head.minor == 0 or not head.has_body):
        head.expect = False  # RFC 9110 section 10.1.1: ignored on HTTP/1.0, and pointless without a body
    if head.upgrade is not None:
        _settle_upgrade(head)


def _settle_transfer_encoding(head: Head, codings: bytes) -> None:
    if head.length is not None:
        raise RequestRejected(400, "content_length_and_transfer_encoding")
    if head.minor == 0:
        raise RequestRejected(400, "transfer_encoding_on_http_1_0")
    if codings != b"chunked":
        names = [name.strip(b" \t") for name in codings.split(b",")]
        if all(map(TOKEN.fullmatch, names)) and names[-1] == b"chunked" and names.count(b"chunked") == 1:
            raise RequestRejected(501, "transfer_coding")
        raise RequestRejected(400, "transfer_encoding_invalid")
    head.chunked = True


def _settle_upgrade(head: Head) -> None:
    """Only a WebSocket hand-shake is an upgrade; any other offer is ignored and not passed on.

    RFC 9110 section 7.8: a server may ignore Upgrade (and must on HTTP/1.0). Answering h2c offers as plain
    HTTP/1.1 is what Java's and curl's clients expect; the fields are removed, so that nobody behind us sees
    an upgrade that we have not agreed to.
    """
    if head.upgrade == b"websocket" and b"upgrade" in head.connection and head.minor == 1:
        _check_handshake(head)
        return
    head.upgrade = None
    head.headers = [field for field in head.headers if field[0] not in (b"upgrade", b"http2-settings")]


def _check_handshake(head: Head) -> None:
    """RFC 6455 section 4.2.1."""
    if head.method != "GET" or head.has_body:
        raise RequestRejected(400, "websocket_handshake")
    versions = [value for name, value in head.headers if name == b"sec-websocket-version"]
    keys = [value for name, value in head.headers if name == b"sec-websocket-key"]
    if versions != [b"13"]:
        raise RequestRejected(426 if len(versions) == 1 else 400, "websocket_version")
    try:
        key = base64.b64decode(keys[0], validate=True) if len(keys) == 1 else b""
    except binascii.Error:
        key = b""
    if len(key) != 16:
        raise RequestRejected(400, "websocket_key")
