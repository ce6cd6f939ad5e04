"""Where a script can be put into an HTML document, found in its first bytes while they arrive.

A tokenizer for what comes before and in <head>: HTML Standard section 13.2.5, as far as it matters there.
Works on bytes, for every encoding that is ASCII where ASCII could be.
"""

from __future__ import annotations

import html
import re
from enum import Enum

_SPACE = b"\t\n\f\r "
_BOM = b"\xef\xbb\xbf"
_CHARSET_WITHIN = 1024
"""Browsers look for the encoding's declaration in so many bytes (HTML Standard section 4.2.5.4)."""

_NOT_SPACE = re.compile(rb"[^\t\n\f\r ]")
_COMMENT_END = re.compile(rb"--!?>")
_TAG_NAME = re.compile(rb"</?([A-Za-z][^\t\n\f\r />]*+)")
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*+(?:(?P<end>>)|(?P<name>[^>\t\n\f\r /][^\t\n\f\r />=]*+)"
    rb"(?P<value>[\t\n\f\r ]*+=[\t\n\f\r ]*+"
    rb"(?:\"(?P<double>[^\"]*+)\"|'(?P<single>[^']*+)'|(?P<bare>[^\t\n\f\r >\"'][^\t\n\f\r >]*+)|(?=>)))?)"
)
_VALUE_BEGINS = re.compile(rb"[\t\n\f\r ]*+=")
_RAW = {
    name: re.compile(rb"</" + name + rb"(?=[\t\n\f\r />])", re.IGNORECASE)
    for name in (b"script", b"style", b"title", b"noscript")
}
_IN_HEAD = frozenset((b"meta", b"link", b"base", b"basefont", b"bgsound"))
_LONGEST_END = len(b"</noscript>")


class Found(Enum):
    """What is known of a document."""

    NOTHING = "nothing yet"
    NO_DOCUMENT = "no document"
    """A piece of one: it begins neither with a doctype nor with <html> or <head>."""
    PLACE = "the place"
    """Known; what follows in <head> may still say something about scripts."""
    HEAD = "the head"
    """<head> was seen to its end."""


class HeadScanner:
    """Fed a document from its first byte on; what it has seen stays until nobody asks any more."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.found = Found.NOTHING
        self.policies: list[str] = []
        """Of <meta http-equiv=Content-Security-Policy>, entities resolved."""
        self.charset = ""
        """Of <meta charset> or <meta http-equiv=Content-Type>, in lower case."""
        self._at = 0
        self._position = 0
        self._document = False
        self._html = False
        self._ending: re.Pattern[bytes] | None = None
        """Inside something that only this ends."""
        self._charset_end = 0

    def feed(self, data: bytes, *, last: bool = False) -> Found:
        """Read on. With `last` nothing follows, so that a document without more of a head has a place."""
        self.data += data
        if self.found in (Found.NOTHING, Found.PLACE):
            while self._step():
                pass
        if last and self.found is Found.NOTHING and self._document:
            self.found = Found.PLACE
        return self.found

    def place(self, length: int) -> int:
        """Where `length` bytes go: first in <head>.

        Or after the declaration of the encoding, when that would be moved to where browsers do not look.
        """
        end = self._charset_end
        return end if end and end <= _CHARSET_WITHIN < end + length else self._at

    def _step(self) -> bool:
        """Read one token; False when it is not there yet, or nothing more is to be found."""
        data, position = self.data, self._position
        if position == 0 and _BOM.startswith(bytes(data[:3])):
            if len(data) < 3:
                return False
            position = 3
        if self._ending is not None:
            return self._pass_over()
        begin = _NOT_SPACE.search(data, position)
        if begin is None:
            self._position = len(data)
            return False
        position = self._position = begin.start()
        if data[position] != ord("<"):
            return self._content(position)
        following = bytes(data[position + 1 : position + 2])
        if not following:
            return False
        if following in b"!?":
            return self._declaration(position)
        if following == b"/" and len(data) < position + 3:
            return False
        tag = _TAG_NAME.match(data, position)
        if tag is None:
            if following == b"/" and data[position + 2] != ord(">"):
                return self._skip_to(b">", position)  # a bogus comment
            return self._content(position)
        if tag.end() == len(data):
            return False
        return self._tag(tag[1].lower(), position, tag.end(), closing=following == b"/")

    def _pass_over(self) -> bool:
        ending = self._ending
        assert ending is not None
        end = ending.search(self.data, self._position)
        if end is None:
            self._position = max(self._position, len(self.data) - _LONGEST_END)
            return False
        if ending is _COMMENT_END:
            self._position, self._ending = end.end(), None
            return True
        closed = self.data.find(b">", end.end())
        if closed < 0:
            self._position = end.start()
            return False
        self._position, self._ending = closed + 1, None
        return True

    def _declaration(self, position: int) -> bool:
        """A comment, a doctype, or what browsers take for a comment."""
        data = self.data
        if data.startswith(b"<!--", position):
            after = position + 4
            if data.startswith((b">", b"->"), after):
                self._position = data.index(b">", after) + 1
                return True
            if len(data) < after + 2:
                return False
            self._position, self._ending = after, _COMMENT_END
            return True
        doctype = bytes(data[position : position + 9]).lower() == b"<!doctype"
        if not self._skip_to(b">", position):
            return False
        if doctype and not self._document:
            self._document, self._at = True, self._position
        return True

    def _skip_to(self, mark: bytes, position: int) -> bool:
        end = self.data.find(mark, position)
        if end < 0:
            return False
        self._position = end + len(mark)
        return True

    def _content(self, position: int) -> bool:
        """Something that is not of a head: here the body begins, or this is no document."""
        if self.found is Found.PLACE:
            self.found = Found.HEAD
        elif self._document:
            self._at, self.found = position, Found.HEAD
        else:
            self.found = Found.NO_DOCUMENT
        return False

    def _tag(self, name: bytes, position: int, after_name: int, *, closing: bool) -> bool:
        read = self._attributes(after_name)
        if read is None:
            return False
        attributes, end = read
        if self.found is Found.NOTHING:
            if closing:
                return self._content(position)
            if name == b"html" and not self._html:
                self._document = self._html = True
                self._at = self._position = end
                return True
            if name == b"head":
                self._document, self.found = True, Found.PLACE
                self._at = self._position = end
                return True
            if not self._document:
                return self._content(position)
            # A head without its tag: what belongs into it is the first thing in it.
            self._at, self.found = position, Found.PLACE
        if closing:
            return self._content(position)
        if name in _RAW:
            self._ending = _RAW[name]
        elif name not in _IN_HEAD:
            return self._content(position)
        elif name == b"meta":
            self._meta(attributes, end)
        self._position = end
        return True

    def _attributes(self, position: int) -> tuple[dict[bytes, bytes], int] | None:
        """The attributes and the position after the tag's ">"; None when that is not there yet."""
        attributes: dict[bytes, bytes] = {}
        while True:
            one = _ATTRIBUTE.match(self.data, position)
            if one is None:
                return None
            position = one.end()
            if one["end"]:
                return attributes, position
            if one["value"] is None and _VALUE_BEGINS.match(self.data, position):
                return None  # its value is not there to the end
            value = one["double"] or one["single"] or one["bare"] or b""
            attributes.setdefault(one["name"].lower(), value)

    def _meta(self, attributes: dict[bytes, bytes], end: int) -> None:
        content = html.unescape(attributes.get(b"content", b"").decode("latin-1"))
        about = attributes.get(b"http-equiv", b"").strip(_SPACE).lower()
        charset = attributes.get(b"charset", b"").decode("latin-1")
        if about == b"content-security-policy":
            self.policies.append(content)
        elif about == b"content-type" and not charset:
            charset = content.lower().partition("charset=")[2].strip(" \"'")
        if charset and not self.charset:
            self.charset, self._charset_end = charset.strip().lower(), end
