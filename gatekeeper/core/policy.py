"""Who may do what: rules, first match wins, and the pure decision."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from gatekeeper.core.context import Facts
from gatekeeper.core.session import Session
from gatekeeper.core.users import login_key


class Outcome(IntEnum):
    """What is to be done, from the mildest to the strictest."""

    ALLOW = 0
    SIGN_IN = 1
    FORBIDDEN = 2
    """Signed in, but this person may not."""
    DENY = 3
    """Nobody may."""


class Allow(NamedTuple):
    """Who passes a rule. `public` and `deny` exclude each other and everything else."""

    public: bool = False
    deny: bool = False
    roles: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    """As `login_key`. With neither roles nor users: every signed-in person."""


SIGNED_IN = Allow()
PUBLIC = Allow(public=True)
NOBODY = Allow(deny=True)


class Rule(NamedTuple):
    """One rule, compiled. None means: whatever."""

    path: re.Pattern[str] | None
    methods: frozenset[str] | None
    allow: Allow
    source: str
    """How the operator wrote it, for `explain`."""


class Policy(NamedTuple):
    rules: tuple[Rule, ...]
    uses_methods: bool
    """Then method overrides in headers are taken out: the rule must have seen what the application does."""


class Decision(NamedTuple):
    outcome: Outcome
    rule: int | None
    """Index of the rule that decided, None for the default (signed in)."""


_DEFAULT_ALLOW = Decision(Outcome.ALLOW, None)
_DEFAULT_SIGN_IN = Decision(Outcome.SIGN_IN, None)


def compile_glob(glob: str, *, case_insensitive: bool = False) -> re.Pattern[str]:
    """A path glob as a pattern for `fullmatch`.

    `*` and `?` stop at a slash; `**` is a whole segment and stands for any number of them, none included:
    `/admin/**` is `/admin` itself and everything below. Every wildcard but the last of its kind is atomic,
    so that no address can make matching slow. Raises ValueError with what is wrong, in words.
    """
    if not glob.startswith("/"):
        raise ValueError("a path begins with /")
    if re.search(r"[\x00-\x20\x7f\\#]", glob):
        raise ValueError("a path holds no spaces, control characters, backslashes or #")
    segments = (glob.casefold() if case_insensitive else glob).split("/")[1:]
    if any("**" in segment and segment != "**" for segment in segments):
        raise ValueError("** stands for whole segments, as in /admin/** or /**/export: inside one use *")
    open_end = segments[-1] == "**"
    blocks: list[list[str]] = [[]]
    for segment in segments:
        if segment == "**":
            blocks.append([])
        else:
            blocks[-1].append(segment)
    if open_end:
        blocks.pop()
    pattern = "".join(map(_segment_pattern, blocks[0]))
    for index, block in enumerate(blocks[1:], 1):
        body = "".join(map(_segment_pattern, block))
        last = index == len(blocks) - 1 and not open_end
        pattern += f"(?:/[^/]*)*{body}" if last else f"(?>(?:/[^/]*)*?{body})"
    return re.compile(pattern + ("(?:/.*)?" if open_end else ""), re.DOTALL)


def _segment_pattern(segment: str) -> str:
    first, *rest = (
        "".join("[^/]" if char == "?" else re.escape(char) for char in piece) for piece in segment.split("*")
    )
    pattern = "/" + first
    for index, piece in enumerate(rest):
        if index == len(rest) - 1:
            pattern += f"[^/]*{piece}"
        elif piece:
            pattern += f"(?>[^/]*?{piece})"
    return pattern + r"(?=/|\Z)"


def make_allow(*, roles: Iterable[str] = (), users: Iterable[str] = ()) -> Allow:
    """Somebody with one of `roles`, or one of `users`."""
    return Allow(roles=frozenset(roles), users=frozenset(login_key(user) for user in users))


def make_rule(
    path: str | None, methods: Iterable[str] | None, allow: Allow, *, case_insensitive: bool = False
) -> Rule:
    """Raises ValueError when the glob is not one."""
    pattern = compile_glob(path, case_insensitive=case_insensitive) if path is not None else None
    upper = frozenset(method.upper() for method in methods) if methods is not None else None
    if upper is not None and "GET" in upper:
        upper |= {"HEAD"}  # HEAD is GET without the body (RFC 9110 section 9.3.2): no rule may differ
    source = path if path is not None else "any path"
    if upper is not None:
        source += " " + ",".join(sorted(upper))
    return Rule(pattern, upper, allow, source)


def make_policy(rules: Sequence[Rule]) -> Policy:
    return Policy(tuple(rules), any(rule.methods is not None for rule in rules))


def decide(policy: Policy, facts: Facts, session: Session | None) -> Decision:
    """The answer for a request, from facts alone: no I/O, no await, no clock.

    `session` must be alive; a half-finished sign-in counts as none. With several readings of the path the
    strictest answer wins. Default: signed in.
    """
    signed_in = session is not None and session.step == ""
    readings = facts.target.readings
    decision = _decide_reading(policy, facts.method, readings[0], session if signed_in else None)
    for reading in readings[1:]:
        other = _decide_reading(policy, facts.method, reading, session if signed_in else None)
        if other.outcome > decision.outcome:
            decision = other
    return decision


def matches(rule: Rule, method: str, path: str) -> bool:
    """Whether `rule` is about this request at all."""
    if rule.methods is not None and method not in rule.methods:
        return False
    return rule.path is None or rule.path.fullmatch(path) is not None


def _decide_reading(policy: Policy, method: str, path: str, session: Session | None) -> Decision:
    for index, rule in enumerate(policy.rules):
        if matches(rule, method, path):
            return Decision(_answer(rule.allow, session), index)
    return _DEFAULT_SIGN_IN if session is None else _DEFAULT_ALLOW


def _answer(allow: Allow, session: Session | None) -> Outcome:
    if allow.deny:
        return Outcome.DENY
    if allow.public:
        return Outcome.ALLOW
    if session is None:
        return Outcome.SIGN_IN
    if not allow.roles and not allow.users:
        return Outcome.ALLOW
    user = session.user
    if not allow.roles.isdisjoint(user.roles) or (allow.users and login_key(user.login) in allow.users):
        return Outcome.ALLOW
    return Outcome.FORBIDDEN
