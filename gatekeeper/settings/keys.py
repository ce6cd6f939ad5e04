"""The tree of keys that the models make: what is a section, a list, a text."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from gatekeeper.settings.base import Section
from gatekeeper.settings.model import Settings
from gatekeeper.settings.problems import Loc


def annotation_at(loc: Loc) -> Any:
    """The type of what is at `loc`, or None when no key of ours is there."""
    found: Any = Settings
    for part in loc:
        if isinstance(part, int):
            found = next(iter(item_types(found)), None)
        else:
            section = section_in(found)
            if section is None or part not in section.written_keys():
                return None
            found = section.written_keys()[part].annotation
    return found


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, without what `Annotated` adds."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def section_in(annotation: Any) -> type[Section] | None:
    """The section among the alternatives of a type."""
    for found in _alternatives(annotation):
        if isinstance(found, type) and issubclass(found, BaseModel):
            assert issubclass(found, Section)
            return found
    return None


def item_types(annotation: Any) -> Iterator[Any]:
    """What the lists among the alternatives of a type hold."""
    for found in _alternatives(annotation):
        if get_origin(found) is tuple:
            yield get_args(found)[0]


def holds(annotation: Any, kind: type) -> bool:
    """Whether `kind` itself is among the alternatives of a type."""
    return kind in _alternatives(annotation)


def knows_word(annotation: Any, text: str) -> bool:
    """Whether `text` is one of the fixed words among the alternatives of a type."""
    return any(
        get_origin(found) is Literal and text in get_args(found) for found in _alternatives(annotation)
    )


def key_paths(section: type[Section] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key, sections included, that has one name: what is inside lists has none."""
    for name, field in section.written_keys().items():
        path = (*above, name)
        yield path
        inner = section_in(field.annotation)
        if inner is not None and not inner.inline:
            yield from key_paths(inner, path)
