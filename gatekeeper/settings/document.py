"""One YAML document read into plain values, with the place of every key and value.

Built from the parser's events, so that nothing recurses and nothing is constructed that was not asked for:
no tags, no merge keys, no second document; depth, number of values and aliases are bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

import yaml

from gatekeeper.settings.problems import Loc, Origin, Problem, SettingsError, dotted
from gatekeeper.settings.scalars import Refused, read_plain, unusable_character

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
MAX_VALUES = 20_000
"""Aliases count as often as they are used (a "billion laughs" is over before it begins)."""

# What stands after ! or * is not repeated: it may be the beginning of a secret that needs quotes.
_NO_TAGS = "tags (words that begin with !) are not used here: remove it, or put the whole value in quotes"


@dataclass(slots=True)
class Document:
    """A configuration file's values, and where they were written."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[Loc, Origin] = field(default_factory=dict)
    values: dict[Loc, Origin] = field(default_factory=dict)
    problems: dict[Loc, Problem] = field(default_factory=dict)
    """What is wrong with the writing itself: duplicate keys, words that YAML would turn into others."""
    misread: dict[Loc, str] = field(default_factory=dict)
    """The latter as they were written: no problem where the key knows the very word, such as `off`."""


class _Anchored(NamedTuple):
    value: Any
    size: int
    height: int


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not been read yet."""

    loc: Loc
    value: dict[str, Any] | list[Any]
    anchor: str | None
    size_before: int
    height: int = 1
    """Levels of nesting in here, itself included; aliases count as what they stand for."""
    key: str | None = None
    seen: dict[str, int] = field(default_factory=dict)


def read_document(raw: bytes, file: str) -> Document:
    """Read `raw`; raises `SettingsError` with one problem when it is not YAML with keys at the top level."""
    reader = _Reader(file)
    if len(raw) > MAX_BYTES:
        reader.fail(1, 1, f"the file is larger than {MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        reader.fail(before.count(b"\n") + 1, column, "the file is not UTF-8 text")
    reader.run(text)
    return reader.document


class _Reader:
    def __init__(self, file: str) -> None:
        self.document = Document(file)
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._size = 0
        self._root: Any = None

    def fail(self, line: int, column: int, message: str) -> NoReturn:
        raise SettingsError([Problem(self.document.file, line, column, "", message)])

    def _fail_at(self, event: yaml.Event, message: str) -> NoReturn:
        origin = self._origin(event)
        self.fail(origin.line, origin.column, message)

    def run(self, text: str) -> None:
        root_at: yaml.Event | None = None
        for event in self._events(text):
            if isinstance(event, yaml.DocumentStartEvent) and root_at is not None:
                self._fail_at(event, "a second document begins here: one file is one configuration")
            elif isinstance(event, yaml.NodeEvent):
                root_at = root_at or event
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
        if root_at is None or (self._root is None and isinstance(root_at, yaml.ScalarEvent)):
            self.fail(1, 1, "the file is empty")
        if not isinstance(self._root, dict):
            self._fail_at(root_at, "the file must have keys at its top level, such as `public_url: …`")
        self.document.data = self._root

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            self._unprintable(text, error)
        try:
            while loader.check_event():
                yield loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.reader.ReaderError as error:
            self._unprintable(text, error)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark or loader.get_mark()
            problem = error.problem or error.context or "this is not YAML"
            if "'\\t'" in problem:
                problem = "there is a tab: YAML indents with spaces only"
            elif "tag handle" in problem:
                problem = _NO_TAGS
            self.fail(mark.line + 1, mark.column + 1, problem)
        except (ValueError, OverflowError):
            # PyYAML hands numbers of escapes and directives unchecked to chr() and int().
            mark = loader.get_mark()
            self.fail(mark.line + 1, mark.column + 1, "there is a number here that YAML does not allow")
        finally:
            loader.dispose()

    def _unprintable(self, text: str, error: yaml.reader.ReaderError) -> NoReturn:
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        self.fail(
            before.count("\n") + 1, column, f"the character U+{ord(text[error.position]):04X} is not allowed"
        )

    def _node(self, event: yaml.NodeEvent) -> None:
        self._count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                self._fail_at(event, "an alias (*name) is used before its anchor (&name) is complete")
            anchored = self._anchors[event.anchor]
            self._count(event, anchored.size)
            self._deepen(event, anchored.height)
            self._add(event, anchored.value)
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event)
            self._scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._refuse_tag(event)
            self._deepen(event, 1)
            value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            loc = self._add(event, value)
            self._stack.append(_Open(loc, value, event.anchor, self._size))

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            self._fail_at(event, _NO_TAGS)

    def _deepen(self, event: yaml.Event, levels: int) -> None:
        if len(self._stack) + levels > MAX_DEPTH:
            self._fail_at(event, f"nested deeper than {MAX_DEPTH} levels")
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, levels + 1)

    def _count(self, event: yaml.Event, number: int) -> None:
        self._size += number
        if self._size > MAX_VALUES:
            self._fail_at(event, f"more than {MAX_VALUES} values, counting each use of an alias")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        top = self._stack[-1] if self._stack else None
        text = event.value
        if isinstance(text, str) and (character := unusable_character(text)):
            self._fail_at(event, f"the character {character} is not allowed")
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(event, top)
            return
        value = read_plain(text) if event.style is None else text
        if isinstance(value, Refused):
            loc = self._add(event, text)
            self._problem(event, loc, value.why)
            self.document.misread[loc] = text
        else:
            loc = self._add(event, value)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(text if isinstance(value, Refused) else value, 1, 0)

    def _key(self, event: yaml.ScalarEvent, top: _Open) -> None:
        key = event.value
        loc = (*top.loc, key)
        if key == "<<" and event.style is None:
            self._fail_at(event, "merge keys (<<) are not supported: write the keys out")
        top.key = key
        if key in top.seen:
            # Another loc, so that both the first value and this message are kept.
            place = f"it is on line {top.seen[key]} already"
            again = (*loc, "<again>", self._origin(event).line)
            self._problem(event, again, f"given twice: {place}", dotted(loc))
        else:
            self.document.keys[loc] = self._origin(event)
            top.seen[key] = self._origin(event).line

    def _origin(self, event: yaml.Event) -> Origin:
        mark = event.start_mark
        assert mark is not None  # only events made by hand have none
        return Origin(self.document.file, mark.line + 1, mark.column + 1)

    def _problem(self, event: yaml.Event, loc: Loc, message: str, key: str = "") -> None:
        self.document.problems[loc] = Problem(*self._origin(event), key or dotted(loc), message)

    def _add(self, event: yaml.Event, value: Any) -> Loc:
        """Put `value` into what is open; the place where it went."""
        if not self._stack:
            self._root = value
            return ()
        top = self._stack[-1]
        if isinstance(top.value, list):
            loc: Loc = (*top.loc, len(top.value))
            top.value.append(value)
        elif top.key is None:
            self._fail_at(event, "a key must be a word")
        else:
            loc = (*top.loc, top.key)
            if top.key not in top.value:
                top.value[top.key] = value
            top.key = None
        self.document.values.setdefault(loc, self._origin(event))
        return loc

    def _close(self) -> None:
        top = self._stack.pop()
        if top.anchor is not None:
            self._anchors[top.anchor] = _Anchored(top.value, self._size - top.size_before + 1, top.height)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, top.height + 1)
