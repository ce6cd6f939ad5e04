"""The YAML reader: places, what YAML would silently change, and what could exhaust it."""

from __future__ import annotations

import time

import pytest

from gatekeeper.settings.document import MAX_BYTES, MAX_DEPTH, read_document
from gatekeeper.settings.problems import SettingsError


def refused(raw: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        read_document(raw.encode() if isinstance(raw, str) else raw, "f")
    (problem,) = caught.value.problems
    return str(problem)


def said(text: str) -> list[str]:
    return [str(problem) for problem in read_document(text.encode(), "f").problems.values()]


def test_every_key_and_value_has_its_place() -> None:
    document = read_document(b"a: 1\nb:\n  c: [x, y]\n", "f")
    assert document.data == {"a": 1, "b": {"c": ["x", "y"]}}
    assert document.keys["b", "c"][1:] == (3, 3)
    assert document.values["b", "c", 1][1:] == (3, 10)


@pytest.mark.parametrize(
    "word",
    ["no", "yes", "on", "OFF", "Yes", "010", "0x1F", "0b11", "1_000", "12:30:00", "1:30", "2024-01-31"]
    + ["2024-01-31 10:00:00", ".inf", ".NaN", "1.5e+3", "1_0.5", "190:20:30.15", "=", "Null", "True", "FALSE"]
    + ["1" * 30],
)
def test_a_word_that_yaml_would_change_is_refused_and_accepted_in_quotes(word: str) -> None:
    (problem,) = said(f"key: {word}\n")
    assert problem.startswith("f:1:6: key: YAML reads this as ")
    assert word not in problem or word in ("no", "on", "=")
    assert said(f"key: '{word}'\n") == []


def test_plain_words_mean_what_they_say() -> None:
    text = (
        b"a: true\nb: 12\nc: -0.5\nd: text\ne: ~\nf: 15m\ng: 1.2.3.4\nh: '12'\ni: |\n  12\nj: 127.0.0.1:8080"
    )
    with pytest.raises(SettingsError, match=r"f:9:4: the character U\+000A is not allowed"):
        read_document(text, "f")
    values = read_document(text.replace(b"|\n  12", b"x"), "f").data
    assert values == {"a": True, "b": 12, "c": -0.5, "d": "text", "e": None, "f": "15m", "g": "1.2.3.4"} | {
        "h": "12",
        "i": "x",
        "j": "127.0.0.1:8080",
    }


def test_a_key_given_twice_is_refused_with_both_places() -> None:
    assert said("a: 1\nb: 2\na: 3\n") == ["f:3:1: a: given twice: it is on line 1 already"]
    assert said("s:\n  a: 1\n  a: 1\n") == ["f:3:3: s.a: given twice: it is on line 2 already"]
    assert len(said("a: 1\na: 2\na: 3\n")) == 2


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "f:1:1: the file is empty"),
        ("# only a comment\n", "f:1:1: the file is empty"),
        ("---\n", "f:1:1: the file is empty"),
        ("just text", "f:1:1: the file must have keys at its top level"),
        ("- a\n- b\n", "f:1:1: the file must have keys at its top level"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document"),
        ("a:\n\tb: 1\n", "f:2:1: there is a tab"),
        ("a: [1, 2\n", "f:2:1: "),
        ("a: 'open\n", "f:2:1: "),
        ("a: b: c\n", "f:1:5: mapping values are not allowed"),
        ("a: !!int 3\n", "f:1:4: tags (words that begin with !) are not used"),
        ("a: !!python/object/apply:os.system [id]\n", "f:1:4: tags (words"),
        ("a: !mine x\n", "f:1:4: tags (words"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", "f:3:3: merge keys"),
        ("? [a, b]\n: c\n", "f:1:3: a key must be a word"),
        ("a: *nowhere\n", "f:1:4: an alias (*name) is used before"),
        ("a: &a [*a]\n", "f:1:8: an alias (*name) is used before"),
        ('a: "\\0"\n', "f:1:4: the character U+0000"),
        ('a: "\\ud800"\n', "f:1:4: the character U+D800"),
        ('a: "\\UFFFFFFFF"\n', "f:1:"),
        ("a: b\x01c\n", "f:1:5: the character U+0001"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: 1\n", "f:1:"),
        (b"a: 1\nb: caf\xe9\n", "f:2:7: the file is not UTF-8 text"),
        ("a: 1\n".encode("utf-16"), "f:1:1: the file is not UTF-8 text"),
        (b"#" * (MAX_BYTES + 1), "f:1:1: the file is larger than"),
    ],
)
def test_what_is_not_one_mapping_of_plain_values_is_refused_at_its_place(
    raw: str | bytes, message: str
) -> None:
    assert refused(raw).startswith(message)


def test_a_byte_order_mark_is_taken_off() -> None:
    assert read_document(b"\xef\xbb\xbfa: 1\n", "f").data == {"a": 1}


def test_an_alias_repeats_a_value() -> None:
    document = read_document(b"a: &staff [x, y]\nb: *staff\nc: &n 5\nd: *n\n", "f")
    assert document.data == {"a": ["x", "y"], "b": ["x", "y"], "c": 5, "d": 5}


def test_a_billion_laughs_ends_at_once() -> None:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    begun = time.process_time()
    assert "values, counting each use of an alias" in refused("\n".join(lines))
    assert time.process_time() - begun < 1


def test_nesting_ends_at_a_limit_through_aliases_too() -> None:
    deep = MAX_DEPTH - 1
    assert read_document(f"a: {'[' * deep}{']' * deep}".encode(), "f").data
    assert "nested deeper" in refused("a: " + "[" * 100_000)
    chain = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 3000))]
    assert "nested deeper" in refused("\n".join(chain))
    fitting = chain[: MAX_DEPTH - 1]
    assert read_document("\n".join(fitting).encode(), "f").data
    assert "nested deeper" in refused("\n".join(chain[:MAX_DEPTH]))
