"""Why a request gets the answer it gets: the same decision, rule by rule, in words."""

from __future__ import annotations

from typing import NamedTuple

from gatekeeper.core.context import Facts
from gatekeeper.core.policy import ANY_TIME, Allow, Decision, Outcome, Policy, Rule, decide
from gatekeeper.core.session import HeaderList, Session
from gatekeeper.core.steps import UNKNOWN_TIME


class RuleVerdict(NamedTuple):
    """One rule and what became of it, for one reading of the path."""

    number: int
    label: str
    """What the operator calls it, such as rules[3]."""
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


def explain(policy: Policy, facts: Facts, session: Session | None, now: float) -> Explanation:
    """Retrace `decide` for an operator. `session` is a complete one, or None for somebody not signed in."""
    decision = decide(policy, facts, session, now)
    verdicts = []
    for path in facts.target.readings:
        for index, rule in enumerate(policy.rules):
            verdict = _look(index, policy.label(index), rule, facts, path)
            verdicts.append(verdict)
            if verdict.hit:
                break
    allowed = decision.outcome is Outcome.ALLOW
    headers = session.headers if allowed and session is not None else ()
    return Explanation(decision, verdicts, _sentence(policy, decision, session, now), headers)


def _look(index: int, label: str, rule: Rule, facts: Facts, path: str) -> RuleVerdict:
    misses = _misses(rule, facts, path)
    if not misses:
        asked = [
            name
            for name, condition in (
                ("path", rule.path),
                ("method", rule.methods),
                ("host", rule.hosts),
                ("client", rule.networks),
            )
            if condition is not None
        ]
        what = f"{_list(asked)} match{'es' if len(asked) == 1 else ''}" if asked else "it is about everything"
        return RuleVerdict(index, label, rule.source, path, True, f"{what}; {who(rule.allow)}")
    return RuleVerdict(index, label, rule.source, path, False, "; ".join(misses))


def _list(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _misses(rule: Rule, facts: Facts, path: str) -> list[str]:
    """Everything that keeps a rule from being about a request."""
    found = []
    if rule.methods is not None and facts.method not in rule.methods:
        found.append(f"is about {', '.join(sorted(rule.methods))}, not {facts.method}")
    if rule.path is not None and rule.path.fullmatch(path) is None:
        found.append("path does not match")
    if rule.hosts is not None and not rule.hosts(facts.host):
        found.append(f"host {facts.host} does not match")
    if rule.networks is not None and not rule.networks(facts.client):
        known = f"client {facts.client} is" if facts.client else "the client's address is unknown, so it is"
        found.append(f"{known} in none of its networks")
    return found


def who(allow: Allow) -> str:
    """Whom a rule lets in, in words."""
    if allow.public:
        return "anyone may"
    if allow.deny:
        return "nobody may"
    parts = []
    if allow.roles:
        parts.append("role " + " or ".join(sorted(allow.roles)))
    if allow.users:
        parts.append("user " + " or ".join(sorted(allow.users)))
    people = f"only {', '.join(parts)} may" if parts else "every signed-in user may"
    if allow.two_factor is None:
        return people
    return f"{people}, with a second factor proved {_age(allow.two_factor)}"


def _age(seconds: float) -> str:
    if seconds == ANY_TIME:
        return "in this session"
    unit, length = next((one for one in _UNITS if seconds >= one[1] and seconds % one[1] == 0), _UNITS[-1])
    return f"less than {seconds / length:g} {unit} ago"


_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


def _sentence(policy: Policy, decision: Decision, session: Session | None, now: float) -> str:
    by = "by default (no rule matches)" if decision.rule is None else f"by {policy.label(decision.rule)}"
    person = "nobody is signed in"
    proof = ""
    if session is not None:
        person = f"signed in as {session.user.login}"
        at = session.record.second_factor_at
        proof = f"proved a second factor {now - at:.0f} s ago" if at > 0.0 else "proved no second factor"
        if at == UNKNOWN_TIME:
            proof = "proved a second factor elsewhere, nobody knows when"
        if not session.user.second_factor:
            proof += " and has none set up: they are led to setting one up"
    texts = {
        Outcome.ALLOW: f"allowed {by}; {person}",
        Outcome.SIGN_IN: f"sent to sign-in (pages) or answered 401 (scripts) {by}; {person}",
        Outcome.STEP_UP: f"asked for a second factor (pages) or answered 401 (scripts) {by}; {person}, "
        f"who {proof}",
        Outcome.FORBIDDEN: f"refused with 403 {by}; {person}, who is not among those who may",
        Outcome.DENY: f"refused with 403 {by}; nobody may",
    }
    if session is not None and session.user.disabled:
        return f"sent to sign-in, and refused there: {session.user.login} is disabled"
    return texts[decision.outcome]
