"""What an unquoted YAML word means here, and which ones mean something else than they say.

YAML 1.1 (section 10.2, the type repository) reads `no` as false, `010` as 8 and `12:30:00` as 45000.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import yaml

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_DECIMAL = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}\Z")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}

_READINGS = {
    "tag:yaml.org,2002:bool": "as true or false: write true or false, or put it in quotes",
    "tag:yaml.org,2002:int": "as another number (octal, hexadecimal, base 60 or with `_`): put it in quotes",
    "tag:yaml.org,2002:float": "as another number: put it in quotes",
    "tag:yaml.org,2002:timestamp": "as a date: put it in quotes",
    "tag:yaml.org,2002:null": "as nothing: put it in quotes",
    "tag:yaml.org,2002:merge": "as a merge, which is not supported here",
    "tag:yaml.org,2002:value": "as a default value: put it in quotes",
}


class Refused(NamedTuple):
    """An unquoted word that YAML would silently turn into something else."""

    why: str


_resolver = yaml.resolver.Resolver()


def read_plain(text: str) -> bool | int | float | str | Refused | None:
    """The value of an unquoted scalar; `Refused` where YAML's reading would surprise whoever wrote it."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        return int(text)
    if _DECIMAL.match(text):
        return float(text)
    tag = _resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    if tag in _READINGS:
        return Refused(f"YAML reads this {_READINGS[tag]}")
    return text


def unusable_character(text: str) -> str | None:
    """The name of the first control character or lone surrogate in `text`, such as "U+0000"."""
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs"):
            return f"U+{ord(character):04X}"
    return None
