"""Whatever is in the file or the environment, the answer is settings or a list of problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gatekeeper.settings import Settings, SettingsError, load_settings, make_settings
from gatekeeper.settings.document import read_document
from gatekeeper.settings.environment import variable_name
from gatekeeper.settings.keys import key_paths
from tests.fuzz import fuzz
from tests.settings.helpers import NEEDED

_PATHS = list(key_paths())
_NAMES = sorted({name for path in _PATHS for name in path} | {"path", "allow", "methods", "roles", "users"})

_TOKENS = st.sampled_from(
    [
        ": ",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!!int ",
        "<<",
        "? ",
        "|\n",
        ">\n",
        '"',
        "'",
        "#",
    ]
    + [
        "\t",
        "%YAML 9.9\n",
        "---\n",
        "...\n",
        "\\x",
        "\ufeff",
        "no",
        "010",
        "12:30:00",
        "~",
        "15m",
        "\u2028",
        "\x85",
    ]
    + _NAMES
)
_YAML_LIKE = st.lists(_TOKENS | st.text(max_size=4), max_size=40).map("".join)

_WORDS = st.sampled_from(
    ["public", "deny", "15m", "10MB", "/a/**", "GET", "https://a.example", "unix:/x", "true"]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def outcome(action: Any, *arguments: Any, **keywords: Any) -> Settings | None:
    """The settings, or None after problems that each say something and are somewhere."""
    try:
        result: Settings = action(*arguments, **keywords)
    except SettingsError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.message
            assert problem.line >= 0
            assert problem.column >= 0
            assert "\n" not in str(problem).replace(problem.key, "")
        return None
    return result


@fuzz(150)
@given(st.binary(max_size=200) | _YAML_LIKE.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'a: "\\U00110000"\n')
@example(b"%YAML 1." + b"9" * 5000 + b"\n--- a")
@example(b"a: &a {b: *a}\n")
@example(b"\xfe\xff\x00a")
@example(b"? ? ? ? a\n")
def test_any_bytes_are_a_document_or_one_problem(raw: bytes) -> None:
    try:
        document = read_document(raw, "f")
    except SettingsError as error:
        assert len(error.problems) == 1
        assert error.problems[0].line >= 1
    else:
        assert isinstance(document.data, dict)


@fuzz(150, share=0.05)
@given(st.dictionaries(st.sampled_from(_NAMES) | st.text(max_size=4), _VALUES, max_size=6))
@example({"session": {}, "public_url": "https://a.example", "upstream": "http://a"})
def test_any_values_are_settings_or_problems(data: dict[str, Any]) -> None:
    outcome(make_settings, data, create=False)


@fuzz(150, share=0.05)
@given(st.dictionaries(st.sampled_from([path[0] for path in _PATHS]), _VALUES, max_size=4))
def test_any_file_is_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_text(
        NEEDED + yaml.safe_dump(data, allow_unicode=True), encoding="utf-8", errors="surrogatepass"
    )
    outcome(load_settings, path, {}, create=False)


@fuzz(150, share=0.05)
@given(
    st.dictionaries(
        st.sampled_from(list(map(variable_name, _PATHS)))
        | st.from_regex(r"GATEKEEPER_[A-Z_]{0,6}", fullmatch=True),
        _WORDS | st.text(max_size=10) | _YAML_LIKE,
        max_size=4,
    )
)
def test_any_environment_is_settings_or_problems(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "fuzz-environment.yaml"
    path.write_text(NEEDED)
    outcome(load_settings, path, environ, create=False)
