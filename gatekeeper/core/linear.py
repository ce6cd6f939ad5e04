"""Regular expressions that no text can make slow, and the refusal of all others.

Python's `re` tries one way to match after the other. A pattern is safe when, for any text, the number of
ways that fit what was read so far is bounded. That is decided on the pattern's position automaton: it is
unbounded exactly when two repeats can take turns with the same text (Weber and Seidl, "On the degree of
ambiguity of finite automata", 1991). Character sets are judged larger than they are rather than smaller, so
a pattern that is let through is linear; some that are not let through would have been.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from re import _constants as op  # type: ignore[attr-defined]  # the parser is public, under its old name
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from gatekeeper.core.regex_text import regex_text
from gatekeeper.core.regex_text import unbounded as is_unbounded

MAX_POSITIONS = 256
"""Characters and sets in a pattern, with counted repeats written out."""
MAX_WAYS = 64
"""How many ways to match may be under way at once because alternatives and options begin alike."""
_MAX_LOOKS = 300_000
_LAST = 0x10FFFF
_LOOKAROUND = (op.ASSERT, op.ASSERT_NOT)

Ranges = tuple[tuple[int, int], ...]


class _Part(NamedTuple):
    """A piece of the pattern: positions it can begin and end with; in how many ways it can be empty."""

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    empty: int = 1


class _Loop(NamedTuple):
    """An unbounded repeat; a copy of one, where a counted repeat is written out, is another."""

    number: int
    text: str


class _Position(NamedTuple):
    chars: Ranges
    loops: tuple[_Loop, ...]
    """The unbounded repeats around it, the outermost first."""


def check_linear(pattern: str, *, ignore_case: bool = False) -> None:
    """Raises ValueError, with the part that is to blame, unless matching takes linear time.

    Also for what is no regular expression at all, and with `ignore_case` for letters beyond ASCII, whose
    upper and lower case do not always pair.
    """
    try:
        tree = _parser.parse(pattern)
    except (_parser.error, OverflowError, RecursionError) as error:
        raise ValueError(f"is no regular expression: {error}") from None
    if tree.state.flags & ~_parser.SRE_FLAG_UNICODE:
        raise ValueError("has flags such as (?i): upper and lower case is for upstream.case_insensitive")
    builder = _Builder(ignore_case)
    builder.sequence(tree, ())
    _Automaton(builder.positions, builder.follow).check()


class _Builder:
    """Reads the parsed pattern into positions and which may follow which (Glushkov's construction)."""

    def __init__(self, ignore_case: bool) -> None:
        self.positions: list[_Position] = []
        self.follow: list[list[int]] = []
        self._ignore_case = ignore_case
        self._loops = 0

    def sequence(self, items: Iterable[tuple[Any, Any]], loops: tuple[_Loop, ...]) -> _Part:
        found = _Part()
        for item in items:
            found = self._then(found, self._item(item, loops))
        return found

    def _item(self, item: tuple[Any, Any], loops: tuple[_Loop, ...]) -> _Part:
        kind, value = item
        if kind in (op.LITERAL, op.NOT_LITERAL, op.ANY, op.IN):
            return self._position(item, loops)
        if kind is op.AT:
            return _Part()
        if kind is op.SUBPATTERN:
            _, add_flags, del_flags, inner = value
            if add_flags or del_flags:
                raise ValueError(
                    "has flags such as (?i:…): upper and lower case is for the upstream's settings"
                )
            return self.sequence(inner, loops)
        if kind is op.ATOMIC_GROUP:
            return self.sequence(value, loops)
        if kind is op.BRANCH:
            parts = [self.sequence(branch, loops) for branch in value[1]]
            first = tuple(position for part in parts for position in part.first)
            last = tuple(position for part in parts for position in part.last)
            return self._checked(_Part(first, last, sum(part.empty for part in parts)), item)
        if kind in (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT):
            return self._repeat(item, loops)
        if kind in _LOOKAROUND:
            raise ValueError(f"looks around itself with {regex_text([item])}, which can take long")
        raise ValueError(f"refers back to an earlier group with {regex_text([item])}, which can take long")

    def _repeat(self, item: tuple[Any, Any], loops: tuple[_Loop, ...]) -> _Part:
        least, most, inner = item[1]
        endless = is_unbounded(item)
        copies = max(least, 1) if endless else most
        whole = _Part()
        optional: list[_Part] = []
        for index in range(copies):
            if endless and index == copies - 1:
                part = self._loop(item, loops)
            else:
                part = self.sequence(inner, loops)
            if index < least:
                whole = self._then(whole, part)
            else:
                optional.append(part)
        # x{0,3} is (x(x(x)?)?)?, each text in one way only.
        tail = _Part()
        for part in reversed(optional):
            if part.empty:
                raise ValueError(f"repeats what can be empty in {regex_text([item])}")
            joined = self._then(part, tail)
            tail = _Part(joined.first, joined.last, joined.empty + 1)
        return self._checked(self._then(whole, tail), item)

    def _loop(self, item: tuple[Any, Any], loops: tuple[_Loop, ...]) -> _Part:
        """Its body once, and back to its beginning."""
        self._loops += 1
        part = self.sequence(item[1][2], (*loops, _Loop(self._loops, regex_text([item]))))
        if part.empty:
            raise ValueError(f"repeats what can be empty in {regex_text([item])}")
        self._connect(part.last, part.first)
        return part

    def _then(self, one: _Part, other: _Part) -> _Part:
        self._connect(one.last, other.first)
        first = one.first + other.first if one.empty else one.first
        last = one.last + other.last if other.empty else other.last
        return _Part(first, last, one.empty * other.empty)

    def _connect(self, ends: Iterable[int], beginnings: tuple[int, ...]) -> None:
        for position in ends:
            self.follow[position].extend(beginnings)

    @staticmethod
    def _checked(part: _Part, item: tuple[Any, Any]) -> _Part:
        if part.empty > 1:
            raise ValueError(f"can be empty in several ways in {regex_text([item])}")
        return part

    def _position(self, item: tuple[Any, Any], loops: tuple[_Loop, ...]) -> _Part:
        if len(self.positions) >= MAX_POSITIONS:
            raise ValueError(f"is too long: more than {MAX_POSITIONS} characters, with repeats written out")
        self.positions.append(_Position(_characters(item, ignore_case=self._ignore_case), loops))
        self.follow.append([])
        number = (len(self.positions) - 1,)
        return _Part(number, number, 0)


class _Automaton:
    """The positions of a pattern, and the search for two that can share a text without bound."""

    def __init__(self, positions: list[_Position], follow: list[list[int]]) -> None:
        self._positions = positions
        self._follow = follow
        self._chars = _classes([position.chars for position in positions])
        self._reach = self._reachable()
        self._looks = 0

    def check(self) -> None:
        """Raises ValueError."""
        for here, after in enumerate(self._follow):
            for there in {there for there in after if after.count(there) > 1}:
                if here in self._reach[there]:
                    outer = self._positions[here].loops[0].text
                    raise ValueError(f"repeats a repeat in {outer}, which can take for ever")
        loops = [here for here in range(len(self._positions)) if here in self._reach[here]]
        for one in loops:
            for other in loops:
                if one != other and other in self._reach[one] and self._share(one, other):
                    raise ValueError(self._blame(one, other))
        ways = 1
        for after in self._follow:
            ways *= max(1, self._alike(after))
            if ways > MAX_WAYS:
                raise ValueError("has too many options or alternatives that begin alike")

    def _alike(self, after: list[int]) -> int:
        """How many of these positions can take one and the same character, at most."""
        together = reduce(or_, (self._chars[there] for there in after), 0)
        most = 0
        while together:
            bit = together & -together
            together ^= bit
            most = max(most, sum(1 for there in after if self._chars[there] & bit))
        return most

    def _share(self, one: int, other: int) -> bool:
        """Whether some text leads from `one` to itself, from `one` to `other`, and from `other` to itself."""
        start, goal = (one, one, other), (one, other, other)
        seen, waiting = {start}, [start]
        reach, follow, chars = self._reach, self._follow, self._chars
        while waiting:
            first, middle, last = waiting.pop()
            for a in follow[first]:
                if one not in reach[a] and a != one:
                    continue
                for b in follow[middle]:
                    both = chars[a] & chars[b]
                    if not both or (b != other and other not in reach[b]):
                        continue
                    for c in follow[last]:
                        self._looks += 1
                        if not both & chars[c] or (c != other and other not in reach[c]):
                            continue
                        found = (a, b, c)
                        if found == goal:
                            return True
                        if found not in seen:
                            seen.add(found)
                            waiting.append(found)
            if self._looks > _MAX_LOOKS:
                raise ValueError("is too intricate to be sure that it is always fast")
        return False

    def _blame(self, one: int, other: int) -> str:
        first, second = self._positions[one].loops[-1], self._positions[other].loops[-1]
        if first == second:
            return f"can match the same text in many ways in {first.text}, which can take for ever"
        return f"has {first.text} and {second.text}, which can share a text in many ways: that can take long"

    def _reachable(self) -> list[set[int]]:
        found = []
        for start in range(len(self._follow)):
            seen: set[int] = set()
            waiting = [start]
            while waiting:
                for there in self._follow[waiting.pop()]:
                    if there not in seen:
                        seen.add(there)
                        waiting.append(there)
            found.append(seen)
        return found


def _classes(sets: list[Ranges]) -> list[int]:
    """Each set as bits, one for every group of characters that no set tells apart."""
    cuts = sorted({edge for ranges in sets for low, high in ranges for edge in (low, high + 1)})
    return [
        sum(1 << index for index, cut in enumerate(cuts) if any(low <= cut <= high for low, high in ranges))
        for ranges in sets
    ]


def _characters(item: tuple[Any, Any], *, ignore_case: bool) -> Ranges:
    """The characters that one position takes, or more."""
    kind, value = item
    if kind is op.ANY:
        return ((0, _LAST),)
    if kind is op.IN:
        members = [member for member in value if member[0] is not op.NEGATE]
        inverted = len(members) != len(value)
    else:
        members, inverted = [(op.LITERAL, value)], kind is op.NOT_LITERAL
    ascii_chars: set[int] = set()
    beyond: list[tuple[int, int]] = []
    vague = False
    for member, content in members:
        if member is op.CATEGORY:
            vague = True
            ascii_chars |= _CATEGORIES[content]
            continue
        low, high = (content, content) if member is op.LITERAL else content
        if ignore_case and high > 0x7F:
            raise ValueError("has a letter beyond ASCII, of which upper and lower case do not always pair")
        ascii_chars.update(range(low, min(high, 0x7F) + 1))
        if high > 0x7F:
            beyond.append((max(low, 0x80), high))
    if ignore_case:
        ascii_chars |= {ord(both) for char in ascii_chars for both in (chr(char).lower(), chr(char).upper())}
        vague = vague or inverted
        if not _FOLDED_ALIKE.isdisjoint(ascii_chars):
            beyond += [(0x130, 0x131), (0x17F, 0x17F), (0x212A, 0x212A)]
    if inverted:
        ascii_chars = set(range(0x80)) - ascii_chars
        beyond = [(0x80, _LAST)] if vague else _complement(beyond)
    elif vague:
        beyond = [(0x80, _LAST)]
    return (*((char, char) for char in sorted(ascii_chars)), *beyond)


def _complement(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """All characters beyond ASCII but these."""
    found, begin = [], 0x80
    for low, high in sorted(ranges):
        if low > begin:
            found.append((begin, low - 1))
        begin = max(begin, high + 1)
    return [*found, (begin, _LAST)] if begin <= _LAST else found


_FOLDED_ALIKE = frozenset(map(ord, "iks"))
"""Letters that `re` pairs with some beyond ASCII: dotless i, long s, the Kelvin sign."""
_DIGITS = frozenset(range(0x30, 0x3A))
_SPACES = frozenset({*range(0x09, 0x0E), *range(0x1C, 0x21)})
_WORD = frozenset(char for char in range(0x80) if chr(char).isalnum() or char == 0x5F)
_ASCII = frozenset(range(0x80))
_CATEGORIES = {
    op.CATEGORY_DIGIT: _DIGITS,
    op.CATEGORY_NOT_DIGIT: _ASCII - _DIGITS,
    op.CATEGORY_SPACE: _SPACES,
    op.CATEGORY_NOT_SPACE: _ASCII - _SPACES,
    op.CATEGORY_WORD: _WORD,
    op.CATEGORY_NOT_WORD: _ASCII - _WORD,
}
