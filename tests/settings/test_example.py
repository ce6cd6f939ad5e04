"""config/gatekeeper.yaml: complete, true, and accepted as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.settings import load_settings, make_settings
from gatekeeper.settings.base import Section
from gatekeeper.settings.document import read_document
from gatekeeper.settings.keys import key_paths
from gatekeeper.settings.providers import MicrosoftSettings, OidcSettings
from gatekeeper.settings.rules import Access, Rule
from tests.settings.helpers import NEEDED

EXAMPLE = Path(__file__).parents[2] / "config/gatekeeper.yaml"
_COMMENTED_KEY = re.compile(r"^( *)# ( *[a-z_]+:(?: .*)?)$")


def everything_uncommented() -> str:
    """The example with every commented key in force."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return "\n".join(_COMMENTED_KEY.sub(r"\1\2", line) for line in lines)


def keys_in(data: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in data.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from keys_in(value, (*above, key))


def commented_defaults() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commented keys whose comment does not call them an example, with the value it gives them."""
    document = read_document(everything_uncommented().encode(), "example")
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for path in keys_in(document.data):
        line = document.keys[path].line - 1
        above = line
        while (
            above
            and lines[above - 1].lstrip().startswith("# ")
            and not _COMMENTED_KEY.match(lines[above - 1])
        ):
            above -= 1
        in_force = not lines[line].lstrip().startswith("#")
        if (
            in_force
            or "example" in " ".join(lines[above:line])
            or path[0] in ("tls", "mail", "metrics", "microsoft")
        ):
            continue
        value: Any = document.data
        for key in path:
            value = value[key]
        yield path, value


def test_the_example_passes_as_it_stands() -> None:
    settings = load_settings(EXAMPLE, {}, create=False)
    assert settings.public_url == "https://backoffice.example.com"
    assert [rule.path for rule in settings.rules] == ["/health", "/internal/**", "/admin/**", None]


def test_every_key_is_in_the_example_and_every_key_in_the_example_exists() -> None:
    document = read_document(everything_uncommented().encode(), "example")
    assert document.problems == {}
    assert sorted(keys_in(document.data)) == sorted(key_paths())
    in_oidc = {key for provider in document.data["oidc"] for key in provider}
    assert in_oidc <= set(OidcSettings.model_fields)
    in_rules = {key for rule in document.data["rules"] for key in rule}
    assert in_rules == set(Rule.model_fields)
    in_allow = {
        key for rule in document.data["rules"] if isinstance(rule["allow"], dict) for key in rule["allow"]
    }
    assert in_allow == set(Access.model_fields)


def test_what_the_example_calls_a_default_is_one() -> None:
    found = dict(commented_defaults())
    assert len(found) >= 30
    needed = read_document(NEEDED.replace("upstream: ", "upstream:\n  url: ").encode(), "needed").data
    untouched = make_settings(needed, create=False)
    for path, value in found.items():
        data = {**needed, "upstream": dict(needed["upstream"])}
        here = data
        for part in path[:-1]:
            here = here.setdefault(part, {})
        here[path[-1]] = value
        assert make_settings(data, create=False) == untouched, f"{'.'.join(path)}: {value} is not the default"


@pytest.mark.parametrize("section", [OidcSettings, MicrosoftSettings])
def test_every_key_of_a_provider_is_described(section: type[Section]) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    described = text.split("# Sign-in with OpenID")[section is OidcSettings]
    for key in section.written_keys():
        assert re.search(rf"^#   (\w+, )?{key}\b", described, re.MULTILINE), key


@pytest.mark.parametrize("path", list(key_paths()), ids=".".join)
def test_every_key_is_described(path: tuple[str, ...]) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    document = read_document(everything_uncommented().encode(), "example")
    line = document.keys[path].line - 1
    if path[0] in ("tls", "mail", "microsoft") or path in {
        ("session",),
        ("password",),
        ("branding",),
        ("limits",),
        ("log",),
    }:
        return  # described together, or the keys inside are
    assert lines[line - 1].lstrip().startswith("# "), f"{'.'.join(path)} has no comment"
