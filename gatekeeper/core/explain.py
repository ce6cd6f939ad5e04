"""Why a request gets the answer it gets: the same decision, rule by rule, in words."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.core.context import Facts
from gatekeeper.core.policy import Allow, Decision, Outcome, Policy, Rule, decide, matches
from gatekeeper.core.session import HeaderList, Session


class RuleVerdict(NamedTuple):
    """One rule and what became of it, for one reading of the path."""

    number: int
    rule: str
    path: str
    hit: bool
    why: str


class Explanation(NamedTuple):
    decision: Decision
    verdicts: list[RuleVerdict]
    answer: str
    """One sentence."""
    headers: HeaderList
    """The identity headers that the application would get; empty unless it is asked."""


def explain(policy: Policy, facts: Facts, session: Session | None) -> Explanation:
    """Retrace `decide` for an operator. `session` is a complete one, or None for somebody not signed in."""
    decision = decide(policy, facts, session)
    verdicts = []
    for path in facts.target.readings:
        for index, rule in enumerate(policy.rules):
            verdict = _look(index, rule, facts.method, path)
            verdicts.append(verdict)
            if verdict.hit:
                break
    allowed = decision.outcome is Outcome.ALLOW
    headers = session.headers if allowed and session is not None else ()
    return Explanation(decision, verdicts, _sentence(policy, decision, session), headers)


def _look(index: int, rule: Rule, method: str, path: str) -> RuleVerdict:
    if matches(rule, method, path):
        return RuleVerdict(index, rule.source, path, True, "path and method match; " + who(rule.allow))
    if rule.methods is not None and method not in rule.methods:
        why = f"is about {', '.join(sorted(rule.methods))}, not {method}"
    else:
        why = "path does not match"
    return RuleVerdict(index, rule.source, path, False, why)


def who(allow: Allow) -> str:
    """Whom a rule lets in, in words."""
    if allow.public:
        return "anyone may"
    if allow.deny:
        return "nobody may"
    if not allow.roles and not allow.users:
        return "every signed-in user may"
    parts = []
    if allow.roles:
        parts.append("role " + " or ".join(sorted(allow.roles)))
    if allow.users:
        parts.append("user " + " or ".join(sorted(allow.users)))
    return "only " + ", ".join(parts) + " may"


def _sentence(policy: Policy, decision: Decision, session: Session | None) -> str:
    by = "by default (no rule matches)" if decision.rule is None else f"by rules[{decision.rule}]"
    person = "nobody is signed in" if session is None else f"signed in as {session.user.login}"
    texts = {
        Outcome.ALLOW: f"allowed {by}; {person}",
        Outcome.SIGN_IN: f"sent to sign-in (pages) or answered 401 (scripts) {by}; {person}",
        Outcome.FORBIDDEN: f"refused with 403 {by}; {person}, who is not among those who may",
        Outcome.DENY: f"refused with 403 {by}; nobody may",
    }
    if session is not None and session.user.disabled:
        return f"sent to sign-in, and refused there: {session.user.login} is disabled"
    return texts[decision.outcome]
