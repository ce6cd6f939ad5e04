"""`gatekeeper reload --dry-run`: what `cli.reload_plan` found, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gatekeeper.build.rehearsal import Answer, Difference
from gatekeeper.build.values import make_allow_of
from gatekeeper.cli.reload_plan import Person, Plan
from gatekeeper.core.explain import who
from gatekeeper.settings.comparison import RuleChange
from gatekeeper.settings.rules import Rule

SHOWN = 20
"""Lines about one person; `--json` has all."""

_VERBS = {"loses": "lose", "gains": "gain", "differs": "see another answer to"}


def as_json(plan: Plan) -> dict[str, Any]:
    """Everything, without names of Python."""
    return {
        "rules": [_rule_change(one) for one in plan.rules],
        "keys": plan.keys,
        "warnings": plan.warnings,
        "examples": plan.examples,
        "sessions": plan.sessions,
        "people": plan.people,
        "affected": [
            person._asdict() | {"differences": [_difference(each) for each in person.differences]}
            for person in plan.affected
        ],
        "not_signed_in": [_difference(each) for each in plan.not_signed_in],
    }


def in_words(plan: Plan) -> Iterator[str]:
    """The lines to print."""
    yield "Rules:" if plan.rules else "Rules: no change."
    for change in plan.rules:
        yield f"  {_said(change)}"
    yield f"Other keys that change: {', '.join(plan.keys) or 'none'}."
    yield (
        f"Compared: {plan.examples} example requests, made from the rules, for {plan.sessions} sessions of "
        f"{plan.people} people signed in now, and for somebody who is not signed in."
    )
    for person in plan.affected:
        yield f"{person.login} ({person.sessions} {'session' if person.sessions == 1 else 'sessions'}):"
        yield from _about(person)
    if plan.people > len(plan.affected):
        others = plan.people - len(plan.affected)
        yield f"No difference for {others} {'person' if others == 1 else 'people'} signed in."
    if plan.not_signed_in:
        yield "Whoever is not signed in:"
        yield from _differences(plan.not_signed_in)
    for warning in plan.warnings:
        yield f"Warning: {warning}."
    yield (
        "Not compared: other addresses than the examples (add some with --path), people who are not signed "
        "in now, and what stands in files that the configuration names."
    )


def _about(person: Person) -> Iterator[str]:
    if person.signed_out:
        yield f"  signed out: {person.signed_out} of {person.sessions}"
    if person.step:
        yield f"  must first do: {person.step.replace('_', ' ')}"
    yield from _differences(person.differences)


def _differences(differences: list[Difference]) -> Iterator[str]:
    several = len({each.example.host for each in differences}) > 1
    for kind, verb in _VERBS.items():
        for each in [each for each in differences if each.kind == kind][:SHOWN]:
            method, host, path, client = each.example
            where = f"{host}{path}" if several else path
            origin = f" from {client}" if client else ""
            yield f"  {verb}: {method} {where}{origin} ({_answer(each.before)}, then {_answer(each.after)})"
    more = sum(max(0, len([each for each in differences if each.kind == kind]) - SHOWN) for kind in _VERBS)
    if more:
        yield f"  and {more} more (--json shows all)"


def _answer(answer: Answer) -> str:
    by = f" by {answer.rule}" if answer.rule else ""
    return answer.outcome.replace("_", " ") + by


def _said(change: RuleChange) -> str:
    if change.old is not None and change.new is not None:
        place = change.after if change.before == change.after else f"{change.before}, now {change.after},"
        if change.change == "moved":
            return f"moved: {change.before} is now {change.after}: {_text(change.new)}"
        return (
            f"changed: {place} {_subject(change.new)}: {who(make_allow_of(change.old))}; "
            f"now {who(make_allow_of(change.new))}"
        )
    rule = change.new or change.old
    return f"{change.change}: {change.before or change.after} {_text(rule) if rule is not None else ''}"


def _text(rule: Rule) -> str:
    return f"{_subject(rule)}: {who(make_allow_of(rule))}"


def _subject(rule: Rule) -> str:
    words = [rule.path or (f"~{rule.path_regex}" if rule.path_regex else "any path")]
    if rule.methods:
        words.append(",".join(rule.methods))
    if rule.host:
        words.append("on " + ",".join(rule.host))
    if rule.networks:
        words.append("from " + ",".join(map(str, rule.networks)))
    return " ".join(words)


def _rule_change(one: RuleChange) -> dict[str, Any]:
    return {
        "change": one.change,
        "before": one.before,
        "after": one.after,
        "old": None if one.old is None else _text(one.old),
        "new": None if one.new is None else _text(one.new),
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind,
        **one.example._asdict(),
        "before": one.before._asdict(),
        "after": one.after._asdict(),
    }
