"""The request head, read strictly: bytes in, a `Head` or a `RequestRejected` out. No I/O.

Nothing is repaired and nothing is skipped: what RFC 9112 lets a recipient tolerate (bare LF, obs-fold,
white space before the colon, several equal Content-Length) is where two parsers disagree, so it is refused.
A line is judged by a few C-speed operations; only a refused block is looked at byte by byte.
"""

from __future__ import annotations

import re
from typing import NoReturn

from gatekeeper.core.errors import RequestRejected
from gatekeeper.gate.server import fields
from gatekeeper.gate.server.config import ServerLimits

_BAD_BYTE = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=[^\n])|(?<!\r)\n")
_ORIGIN_FORM = re.compile(rb"([A-Z]++) (/[!-\"$->@-~]*+)(?:\?([!-\"$-~]*+))? HTTP/1\.([01])")
"""Nearly every request line. What it does not match is read by the slower rules, which know why."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++) ([!-~]++) HTTP/1\.([01])")
_OTHER_VERSION = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++ [!-~]++ HTTP/[0-9]\.[0-9]")
_METHOD = re.compile(rb"[A-Z][A-Z0-9-]{0,31}")
_METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")}
_REFUSED_METHODS = frozenset({b"CONNECT", b"TRACE", b"TRACK"})
_MET_MAX = 2048
_MET_LINE_MAX = 128
_met_lines: dict[bytes, tuple[str, bytes]] = {}
"""Request lines met before: method and path of those in HTTP/1.1 without a query, which may hold a secret."""
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE)


def bad_request(reason: str) -> RequestRejected:
    return RequestRejected(400, reason)


class Head:
    """One request's head. `headers` are lower-case names in the order they came.

    What most requests lack is said once, by the class, instead of for each of them.
    """

    headers: list[tuple[bytes, bytes]]
    method: str
    raw_path: bytes
    query: bytes
    minor: int
    authority: bytes | None = None
    """From an absolute-form target."""
    host: bytes | None = None
    length: int | None = None
    transfer_encoding: bytes | None = None
    chunked = False
    connection: tuple[bytes, ...] = ()
    expect = False
    """`Expect: 100-continue` was sent and a body is to follow."""
    upgrade: bytes | None = None

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)


def parse_head(block: bytes, limits: ServerLimits) -> Head:
    """Read a head without its final empty line. Raises `RequestRejected` (RFC 9112 sections 2 to 6)."""
    try:
        return _parse(block, limits)
    except RequestRejected as error:
        if error.status == 414 or error.reason == "control_byte":
            _diagnose(block, limits)
        raise


def _parse(block: bytes, limits: ServerLimits) -> Head:
    lines = block.split(b"\r\n")
    request_line = lines[0]
    if len(request_line) > limits.request_line:
        raise RequestRejected(414, "request_line_too_long")
    if len(block.translate(None, fields.TEXT)) != 2 * len(lines) - 2:
        raise bad_request("control_byte")
    head = Head()
    met = _met_lines.get(request_line)
    if met is not None:
        head.method, head.raw_path = met
        head.query, head.minor = b"", 1
    else:
        _read_first_line(request_line, head)
    if len(lines) - 1 > limits.headers:
        raise RequestRejected(431, "too_many_headers")
    del lines[0]
    met_before, read_line = fields.met_before.get, fields.read_line
    head.headers = [met_before(line) or read_line(line, head) for line in lines]
    fields.settle(head)
    return head


def _read_first_line(line: bytes, head: Head) -> None:
    match = _ORIGIN_FORM.fullmatch(line)
    method = None if match is None else _METHODS.get(match[1])
    if match is None or method is None:
        return _read_request_line(line, head)
    head.method = method
    _, head.raw_path, query, minor = match.groups()
    head.query = query or b""
    head.minor = 1 if minor == b"1" else 0
    if query is None and head.minor and len(line) <= _MET_LINE_MAX:
        if len(_met_lines) >= _MET_MAX:
            _met_lines.clear()
        _met_lines[line] = (method, head.raw_path)
    return None


def _read_request_line(line: bytes, head: Head) -> None:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        if _OTHER_VERSION.fullmatch(line):
            raise RequestRejected(505, "http_version")
        raise bad_request("request_line")
    method, target, minor = match.groups()
    known = _METHODS.get(method)
    if known is None:
        if method in _REFUSED_METHODS or _METHOD.fullmatch(method) is None:
            # A method in lower case is another method (RFC 9110 section 9.1), but not to every application.
            raise RequestRejected(501, "method")
        known = method.decode("ascii")
    head.method = known
    head.minor = 1 if minor == b"1" else 0
    if target[0] != 0x2F:
        target = _read_other_form(target, head)
    if b"#" in target:
        raise bad_request("target_fragment")
    head.raw_path, _, head.query = target.partition(b"?")


def _read_other_form(target: bytes, head: Head) -> bytes:
    """Absolute-form becomes origin-form (RFC 9112 section 3.2.2); `*` and authority-form are refused."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise bad_request("target_form")
    head.authority, rest = match[1], match[2]
    return rest if rest.startswith(b"/") else b"/" + rest


class HeadBuffer:
    """A head that arrives in pieces. Judged as it comes, by position, so that splitting changes no answer."""

    __slots__ = ("_line_checked", "_scanned", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._scanned = 0
        self._line_checked = False

    def find_end(self, limits: ServerLimits) -> int:
        """Index of the empty line, -1 when more must come. Raises `RequestRejected` once it is certain."""
        data = self.data
        end = data.find(b"\r\n\r\n", max(0, self._scanned - 3), limits.head + 4)
        if end >= 0:
            return end
        start = max(0, self._scanned - 1)
        if not self._line_checked:
            self._line_checked = _check_line(data, limits)
            start = 0
        if self._line_checked:
            bad = _BAD_BYTE.search(data, start, limits.head + 4)
            if bad is not None:
                raise bad_request("control_byte")
            if len(data) >= limits.head + 4:
                raise RequestRejected(431, "head_too_large")
        self._scanned = len(data)
        return -1


def _check_line(data: bytes | bytearray, limits: ServerLimits) -> bool:
    """Judge the request line as far as it is there; whether it is complete."""
    stop = limits.request_line + 2
    end = data.find(b"\r\n", 0, stop)
    if _BAD_BYTE.search(data, 0, stop if end < 0 else end + 1) is not None:
        raise bad_request("control_byte")
    if end < 0:
        if len(data) >= stop:
            raise RequestRejected(414, "request_line_too_long")
        return False
    _read_request_line(bytes(data[:end]), Head())
    return True


def _diagnose(block: bytes, limits: ServerLimits) -> NoReturn:
    """Say what is wrong with a block, in the order in which its bytes would have been judged one by one."""
    _check_line(block + b"\r\n\r\n", limits)
    raise bad_request("control_byte")
