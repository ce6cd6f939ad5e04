"""Regular expressions in rules: what could be slow is refused, and what is let through is fast."""

from __future__ import annotations

import itertools
import random
import re
import time

import pytest

from gatekeeper.core.linear import check_linear

REFUSED = [
    (r"(a+)+b", "repeats a repeat in (a+)+"),
    (r"(?:a+)*b", "repeats a repeat in (?:a+)*"),
    (r"([^/]+/?)*", "repeats a repeat in ([^/]+/?)*"),
    (r"(\w+\s?)*x", "repeats a repeat in (\\w+\\s?)*"),
    (r"(a*)*b", "repeats what can be empty in (a*)*"),
    (r"(a?b?)*c", "repeats what can be empty in (a?b?)*"),
    (r"(?:a?){2,30}", "repeats what can be empty in (?:a?){2,30}"),
    (r"(a|aa)+b", "can match the same text in many ways in (a(?:|a))+"),
    (r"(.|/)*x", "can match the same text in many ways in (.|/)*"),
    (r"(a|b|ab)*c", "can match the same text in many ways in (a|b|ab)*"),
    (r"(x+x+)+y", "has x+ and x+, which can share a text"),
    (r".*.*=.*", "has .* and .*"),
    (r"/a.*b.*c", "has .* and .*"),
    (r"/.*/.*\.pdf", "has .* and .*"),
    (r"\s*\s*x", "has \\s* and \\s*"),
    (r"[a-z]+[a-z0-9]+", "has [a-z]+ and [a-z0-9]+"),
    (r"/[^/]*[^/]*", "has [^/]* and [^/]*"),
    (r"a*?b?a*+", "has a*? and a*+"),
    (r"(?>a*)a*", "has a* and a*"),
    (r"\d+\w*", "has \\d+ and \\w*"),
    (r"(.*a){12}", "has .* and .*"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "has"),
    (r"([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+", "repeats a repeat in"),
    (r"(?:a?){30}a{30}", "too many options or alternatives that begin alike"),
    (r"(?:a|ab)(?:bc|c)" * 8, "too many options or alternatives that begin alike"),
    (r"(a|)(b|)?", "repeats what can be empty in (b|)?"),
    (r"(?:x(?:a?|b?))*", "can be empty in several ways in (?:a?|b?)"),
    (r"[a-z]{1,1000}", "is too long"),
    (r"(a)\1", "refers back to an earlier group with \\1"),
    (r"(?P<n>a)(?P=n)", "refers back to an earlier group"),
    (r"(a)?(?(1)b|c)", "refers back to an earlier group with (?(1)…)"),
    (r"/(?=x).*", "looks around itself with (?=x)"),
    (r"/(?!admin).*", "looks around itself with (?!admin)"),
    (r"/.(?<=x)y", "looks around itself with (?<=x)"),
    (r"/.(?<!x)y", "looks around itself with (?<!x)"),
    (r"(?i)/x", "has flags such as (?i)"),
    (r"/(?i:x)", "has flags such as (?i:…)"),
    (r"/(", "is no regular expression: missing )"),
    (r"/a**", "is no regular expression: multiple repeat"),
]
ACCEPTED = [
    r"/admin(/.*)?",
    r"^/admin$",
    r"\A/admin\Z",
    r"/.*\.pdf",
    r"/.*\.(png|jpg|jpeg|gif|css|js)",
    r"/reports/[0-9]{4}-[0-9]{2}(\.pdf|\.csv)?",
    r"/users/\d+/(edit|delete)",
    r"(?:/[^/]+)*/export",
    r"/[^/]*/[^/]*/x",
    r"/(api|admin|assets)/.*",
    r"/orders/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    r"/[a-z]+-[a-z]+/?",
    r"/(?:[a-z]+/)*",
    r"/v[12]/\w+\b.?",
    r"/[^/]+\.php",
    r"/[a-z]+\d*",
    r"/[^\W\d]\S*",
    r"(?:ab|c)+d{2,}?",
    r"/größe/[ä-ü]+",
    r"/[^ä-ü]/ä*",
]


@pytest.mark.parametrize(("pattern", "said"), REFUSED)
def test_a_pattern_that_could_be_slow_is_refused_with_the_part_to_blame(pattern: str, said: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=re.escape(said)):
        check_linear(pattern)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_patterns_that_people_write_are_let_through(pattern: str) -> None:
    check_linear(pattern)


def test_letters_beyond_ascii_are_refused_where_case_is_ignored() -> None:
    for pattern in (r"/größe", r"/[ä-ü]", r"/[^ß]"):
        with pytest.raises(ValueError, match="beyond ASCII"):
            check_linear(pattern, ignore_case=True)
    check_linear(r"/[^/]+\.PDF", ignore_case=True)
    check_linear("a*A*b".replace("A", "B"), ignore_case=True)
    with pytest.raises(ValueError, match="has a"):
        check_linear("a*A*", ignore_case=True)


def test_what_is_let_through_is_fast_on_texts_made_against_it() -> None:
    """Random patterns, each against texts that repeat every short word and end in what does not match."""
    random.seed(5)
    pieces = ["a", "b", "[ab]", ".", "[^b]", "(?:ab|a)", "(?:a|b)", "(?:b|)", "ab"]
    times = ["", "", "*", "+", "?", "{0,2}", "{2,}", "*?"]
    words = ["".join(word) for length in (1, 2, 3) for word in itertools.product("ab", repeat=length)]
    accepted = 0
    for _ in range(600):
        pattern = "".join(random.choice(pieces) + random.choice(times) for _ in range(random.randint(1, 5)))
        if random.random() < 0.4:
            pattern = f"(?:{pattern}){random.choice(times)}" + random.choice(pieces)
        try:
            check_linear(pattern)
        except ValueError:
            continue
        accepted += 1
        compiled = re.compile(pattern)
        for word in words:
            text = word * 2000 + "!"
            began = time.process_time()
            compiled.fullmatch(text)
            assert time.process_time() - began < 0.25, (pattern, word)  # a quadratic one takes longer
    assert accepted > 100
