"""A parsed regular expression written out again, so that a message can show the part it is about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants as op  # type: ignore[attr-defined]
from typing import Any

_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}
_PLACES = {
    op.AT_BEGINNING: "^",
    op.AT_BEGINNING_STRING: r"\A",
    op.AT_BOUNDARY: r"\b",
    op.AT_NON_BOUNDARY: r"\B",
    op.AT_END: "$",
    op.AT_END_STRING: r"\Z",
}
_TIMES = {(0, 1): "?", (0, op.MAXREPEAT): "*", (1, op.MAXREPEAT): "+"}
_SUFFIX = {op.MAX_REPEAT: "", op.MIN_REPEAT: "?", op.POSSESSIVE_REPEAT: "+"}


def unbounded(item: tuple[Any, Any]) -> bool:
    """Whether a repeat has no highest number."""
    return bool(item[1][1] is op.MAXREPEAT)


def regex_text(items: Iterable[tuple[Any, Any]]) -> str:
    """`items` as one might have written them."""
    return "".join(map(_text, items))


def _text(item: tuple[Any, Any]) -> str:
    kind, value = item
    if kind is op.LITERAL:
        return re.escape(chr(value))
    if kind is op.NOT_LITERAL:
        return f"[^{chr(value)}]"
    if kind is op.ANY:
        return "."
    if kind is op.IN:
        return _set(value)
    if kind is op.AT:
        return _PLACES[value]
    if kind in _SUFFIX:
        return _repeat(item)
    if kind is op.BRANCH:
        return "(?:" + "|".join(map(regex_text, value[1])) + ")"
    if kind is op.SUBPATTERN:
        return f"({_inside(value[3])})"
    if kind is op.ATOMIC_GROUP:
        return f"(?>{_inside(value)})"
    if kind in (op.ASSERT, op.ASSERT_NOT):
        sign = "=" if kind is op.ASSERT else "!"
        return f"(?{'<' if value[0] < 0 else ''}{sign}{_inside(value[1])})"
    if kind is op.GROUPREF_EXISTS:
        return f"(?({value[0]})…)"
    return f"\\{value}"


def _inside(items: Any) -> str:
    """Within a group, alternatives need no further one."""
    if len(items) == 1 and items[0][0] is op.BRANCH:
        return "|".join(map(regex_text, items[0][1][1]))
    return regex_text(items)


def _repeat(item: tuple[Any, Any]) -> str:
    least, most, inner = item[1]
    body = regex_text(inner)
    if len(inner) > 1 or inner[0][0] in _SUFFIX:
        body = f"(?:{body})"
    if (least, most) in _TIMES:
        times = _TIMES[least, most]
    elif unbounded(item):
        times = f"{{{least},}}"
    else:
        times = f"{{{least}}}" if least == most else f"{{{least},{most}}}"
    return body + times + _SUFFIX[item[0]]


def _set(members: Iterable[tuple[Any, Any]]) -> str:
    written = ""
    for kind, value in members:
        if kind is op.NEGATE:
            written += "^"
        elif kind is op.LITERAL:
            written += re.escape(chr(value)) if chr(value) in "\\]^-" else chr(value)
        elif kind is op.RANGE:
            written += f"{chr(value[0])}-{chr(value[1])}"
        else:
            written += _CATEGORIES[value]
    return written if written in _CATEGORIES.values() else f"[{written}]"
