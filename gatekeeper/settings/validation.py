"""From a document to `Settings`, and pydantic's complaints in our words, each at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gatekeeper.settings.base import Misfit
from gatekeeper.settings.document import Document
from gatekeeper.settings.keys import annotation_at, key_paths, knows_word, section_in
from gatekeeper.settings.model import Settings
from gatekeeper.settings.problems import Loc, Origin, Problem, SettingsError, did_you_mean, dotted, one_of


def validate(document: Document, base: Path) -> Settings:
    """Raises `SettingsError` with everything that is wrong in `document`, its own problems included."""
    problems = {
        loc: problem
        for loc, problem in document.problems.items()
        if loc not in document.misread or not knows_word(annotation_at(loc), document.misread[loc])
    }
    data = _without_empty(document, problems)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(data, context={"base": base})
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=True):
            loc, message = _in_words(details)
            if details["type"] == "too_short" and details["input"]:
                continue  # its items are wrong, each of which is said already
            if not any(loc[: len(known)] == known for known in problems):
                problems[loc] = locate(document, loc, message)
    if settings is None or problems:
        raise SettingsError(problems.values())
    return settings


def locate(document: Document, loc: Loc, message: str) -> Problem:
    """A problem at the nearest place in the document that is at or above `loc`.

    An unknown key is blamed at the key itself, everything else at the value.
    """
    unknown = annotation_at(loc) is None
    for length in range(len(loc), 0, -1):
        near = loc[:length]
        origin = document.keys.get(near) if unknown and length == len(loc) else document.values.get(near)
        if origin is not None:
            return Problem(*origin, dotted(loc), message)
    return Problem(*Origin(document.file, 1 if document.file else 0, 1), dotted(loc), message)


def _without_empty(document: Document, problems: dict[Loc, Problem]) -> dict[str, Any]:
    """The data without nulls: an empty section is one without keys, any other empty value is a problem."""

    def clean(value: Any, loc: Loc) -> Any:
        if isinstance(value, dict):
            kept: dict[str, Any] = {}
            for key, inner in value.items():
                here = (*loc, key)
                annotation = annotation_at(here)
                if inner is None and annotation is not None:
                    section = section_in(annotation)
                    if section is not None and not section.shorthand:
                        kept[key] = {}
                    else:
                        why = "has no value: give it one, or remove the key to get its default"
                        if key.startswith("color"):
                            why += ' (an unquoted # begins a comment: write "#1d4ed8" in quotes)'
                        problems.setdefault(here, locate(document, here, why))
                    continue
                kept[key] = clean(inner, here)
            return kept
        if isinstance(value, list):
            return [clean(inner, (*loc, index)) for index, inner in enumerate(value)]
        return value

    cleaned: dict[str, Any] = clean(document.data, ())
    return cleaned


def _in_words(details: ErrorDetails) -> tuple[Loc, str]:
    loc: Loc = details["loc"]
    kind, given, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "value_error":
        error = context["error"]
        if isinstance(error, Misfit):
            loc += error.loc
        return loc, str(error)
    if kind == "extra_forbidden":
        return loc, _unknown_key(loc)
    if kind == "missing":
        return loc, f"is missing{_meant_instead(loc)}"
    if given is None:
        return loc, "has no value"
    if kind == "string_type":
        return loc, "must be text" + (": put it in quotes" if isinstance(given, (bool, int, float)) else "")
    if kind == "path_type":
        return loc, "must be a path"
    if kind == "int_type":
        return loc, "must be a whole number, without quotes"
    if kind == "bool_type":
        return loc, "must be true or false"
    if kind in ("tuple_type", "list_type"):
        return loc, "must be a list"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return loc, "must be a section with keys of its own"
    if kind == "literal_error":
        words = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
        near = did_you_mean(given, words) if isinstance(given, str) else ""
        return loc, f"must be {one_of(words)}{near}"
    if kind == "too_short":
        return loc, "must not be empty"
    if kind in ("greater_than_equal", "less_than_equal"):
        return (
            loc,
            f"must be at {'least' if 'ge' in context else 'most'} {context.get('ge', context.get('le'))}",
        )
    if kind in ("string_too_short", "string_too_long"):
        least_or_most = "at least" if kind == "string_too_short" else "at most"
        limit = context.get("min_length", context.get("max_length"))
        return loc, f"must have {least_or_most} {limit} characters"
    return loc, details["msg"][:1].lower() + details["msg"][1:]


def _unknown_key(loc: Loc) -> str:
    word = str(loc[-1]).lower().replace("-", "_")
    elsewhere = [".".join(path) for path in key_paths() if path[-1] == word]
    if elsewhere:
        return f"there is no such key here, did you mean {one_of(elsewhere)}?"
    section = section_in(annotation_at(loc[:-1]))
    return "there is no such key" + did_you_mean(word, section.written_keys() if section is not None else ())


def _meant_instead(loc: Loc) -> str:
    description = None
    section = section_in(annotation_at(loc[:-1]))
    if section is not None and isinstance(loc[-1], str) and loc[-1] in section.written_keys():
        description = section.written_keys()[loc[-1]].description
    return f": {' '.join(description.split())}" if description else ""
