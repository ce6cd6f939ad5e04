"""What came back with the browser, read strictly. Pure.

RFC 6749 sections 4.1.2 and 3.1 (no parameter twice), RFC 9207 (`iss`), OpenID Connect Core 3.1.2.5.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from gatekeeper.providers.codes import failure_of
from gatekeeper.providers.protocol import ProviderError

MAX_QUERY = 16_384
"""Bytes; Entra's codes have been seen with 2 KB."""
_MAX_FIELDS = 20
_MAX_STATE, _MAX_CODE = 512, 8_192
_STATE = re.compile(r"[A-Za-z0-9._~-]+")
_CODE = re.compile(r"[\x21-\x7e]+")
"""RFC 6749 appendix A.11 without the space, which no provider uses and some forms add."""
_OURS = ("state", "code", "error", "error_description", "iss")


class Callback(NamedTuple):
    """One answer of a provider. `code` or `failure` is given, never both."""

    state: str
    code: str = ""
    failure: str = ""
    """Why not, as a key of `messages.MESSAGES`."""
    vendor_code: str = ""
    """What the provider calls it, such as "AADSTS65001"; or ""."""
    issuer: str = ""

    def raise_failure(self) -> None:
        """Raise `ProviderError` when this is no code. For after the state was checked."""
        if self.failure:
            raise ProviderError(self.failure, vendor_code=self.vendor_code)


def parse_callback(query: bytes) -> Callback:
    """Read the raw query of a callback.

    Raises `ProviderError` ("callback_invalid", or "state_missing" for an address that somebody may have
    opened by hand). What is in `error` and `error_description` never leaves this function but as a code.
    """
    if len(query) > MAX_QUERY:
        raise ProviderError("callback_invalid", "the callback's query is too long")
    fields = _fields(query)
    state = fields.get("state", "")
    if not state:
        raise ProviderError("state_missing", "the callback has no state")
    if len(state) > _MAX_STATE or not _STATE.fullmatch(state):
        raise ProviderError("callback_invalid", "the callback's state has impossible characters")
    code, error = fields.get("code", ""), fields.get("error", "")
    if bool(code) == bool(error):
        raise ProviderError("callback_invalid", "the callback has neither code nor error, or both")
    if error:
        failure, vendor_code = failure_of(error, fields.get("error_description", ""))
        return Callback(state, failure=failure, vendor_code=vendor_code, issuer=fields.get("iss", ""))
    if len(code) > _MAX_CODE or not _CODE.fullmatch(code):
        raise ProviderError("callback_invalid", "the callback's code has impossible characters")
    return Callback(state, code=code, issuer=fields.get("iss", ""))


def _fields(query: bytes) -> dict[str, str]:
    """The parameters that mean something to us; one of them twice is refused, others may be what they are."""
    fields: dict[str, str] = {}
    pairs = [pair for pair in query.split(b"&") if pair]
    if len(pairs) > _MAX_FIELDS:
        raise ProviderError("callback_invalid", "the callback has too many parameters")
    for pair in pairs:
        raw_name, _, raw_value = pair.partition(b"=")
        try:
            name = _decoded(raw_name)
            if name not in _OURS:
                continue
            value = _decoded(raw_value)
        except UnicodeDecodeError:
            raise ProviderError("callback_invalid", "the callback's query is not UTF-8") from None
        if name in fields:
            raise ProviderError("callback_invalid", f"the callback has {name} twice")
        fields[name] = value
    return fields


def _decoded(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode()
