"""Variables that override the file: `GATEKEEPER_SESSION__IDLE_TIMEOUT` is `session.idle_timeout`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gatekeeper.settings.document import Document, read_document
from gatekeeper.settings.keys import annotation_at, holds, item_types, key_paths, knows_word, section_in
from gatekeeper.settings.problems import Origin, Problem, SettingsError, did_you_mean, dotted
from gatekeeper.settings.scalars import unusable_character

PREFIX = "GATEKEEPER_"

# Kubernetes tells every container about a Service called "gatekeeper" in these.
_SERVICE_LINK = re.compile(r"GATEKEEPER_(SERVICE_(HOST|PORT\w*)|PORT(_[0-9]+_(TCP|UDP|SCTP)\w*)?)\Z")


def variable_name(path: tuple[str, ...]) -> str:
    """The variable that overrides the key at `path`."""
    return PREFIX + "__".join(path).upper()


def override(document: Document, environ: Mapping[str, str]) -> None:
    """Put every variable of ours into `document`, over what the file says; problems go there too."""
    known = {variable_name(path): path for path in key_paths()}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or _SERVICE_LINK.match(name):
            continue
        if name not in known:
            near = did_you_mean(name, known)
            document.problems[(name,)] = Problem(name, 0, 0, "", f"no key has this variable{near}")
            continue
        _put(document, name, known[name], environ[name])


def _put(document: Document, name: str, path: tuple[str, ...], text: str) -> None:
    section = section_in(annotation_at(path))
    listed = text.lstrip().startswith("[") and any(True for _ in item_types(annotation_at(path)))
    worded = section is not None and knows_word(annotation_at(path), text)
    if section is not None and not listed and not worded and not text.lstrip().startswith("{"):
        if not section.shorthand:
            example = variable_name((*path, next(iter(section.written_keys()))))
            document.problems[path] = Problem(
                name, 0, 0, dotted(path), f"is a section: set its keys one by one, such as {example}"
            )
            return
        path = (*path, section.shorthand)
    taken = document.values.get(path)
    if taken is not None and taken.line == 0:
        document.problems[path] = Problem(name, 0, 0, dotted(path), f"is set by {taken.file} as well")
        return
    if character := unusable_character(text):
        document.problems[path] = Problem(
            name, 0, 0, dotted(path), f"the character {character} is not allowed"
        )
        return
    try:
        value = _value(name, annotation_at(path), text)
    except SettingsError as error:
        document.problems[path] = Problem(name, 0, 0, dotted(path), error.problems[0].message)
        return
    if not _place(document, path, value):
        place = dotted(path[:-1])
        message = f"{place} is a list in the file: a variable can only replace all of it"
        document.problems[path] = Problem(name, 0, 0, dotted(path), message)
        return
    for table in (document.keys, document.values):
        for loc in [loc for loc in table if loc[: len(path)] == path]:
            del table[loc]
        table[path] = Origin(name)


def _value(name: str, annotation: Any, text: str) -> Any:
    """`text` as its key needs it: lists with commas; lists and sections also as YAML's `[…]` and `{…}`."""
    if text.lstrip().startswith(("[", "{")) and (
        section_in(annotation) or any(True for _ in item_types(annotation))
    ):
        inner = read_document(b"value: " + text.encode(), name)
        if inner.problems:
            raise SettingsError(inner.problems.values())
        return inner.data["value"]
    if any(True for _ in item_types(annotation)):
        return [item.strip() for item in text.split(",")] if text.strip() else []
    if holds(annotation, bool) and text in ("true", "false"):
        return text == "true"
    if holds(annotation, int) and re.match(r"-?(?:0|[1-9][0-9]{0,17})\Z", text):
        return int(text)
    return text


def _place(document: Document, path: tuple[str, ...], value: Any) -> bool:
    """Set the value at `path`; a shorthand on the way becomes a section. False when a list is on the way."""
    here = document.data
    for depth, part in enumerate(path[:-1], 1):
        inner = here.get(part)
        section = section_in(annotation_at(path[:depth]))
        if isinstance(inner, str) and section is not None and section.shorthand:
            inner = {section.shorthand: inner}
        elif isinstance(inner, dict):
            inner = dict(inner)  # an alias may share it with another key
        elif inner is None:
            inner = {}
        else:
            return not isinstance(inner, list)  # other things are no section, and are reported as such
        here[part] = inner
        here = inner
    here[path[-1]] = value
    return True
