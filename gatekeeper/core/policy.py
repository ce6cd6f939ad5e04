"""Who may do what: rules, first match wins, and the pure decision."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from gatekeeper.core.conditions import compile_hosts, compile_networks
from gatekeeper.core.context import Facts
from gatekeeper.core.hosts import Network
from gatekeeper.core.linear import check_linear
from gatekeeper.core.session import Session, SessionRecord
from gatekeeper.core.users import login_key

ANY_TIME = math.inf
"""For `Allow.two_factor`: proved in this session, however long ago."""


class Outcome(IntEnum):
    """What is to be done, from the mildest to the strictest."""

    ALLOW = 0
    SIGN_IN = 1
    STEP_UP = 2
    """Signed in and among those who may, once a second factor was proved (again)."""
    FORBIDDEN = 3
    """Signed in, but this person may not."""
    DENY = 4
    """Nobody may."""


class Allow(NamedTuple):
    """Who passes a rule. `public` and `deny` exclude each other and everything else."""

    public: bool = False
    deny: bool = False
    roles: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    """As `login_key`. With neither roles nor users: every signed-in person."""
    two_factor: float | None = None
    """How old the proof of a second factor may be, in seconds; ANY_TIME; None when none is needed."""

    @property
    def restrictive(self) -> bool:
        """Whether some signed-in person does not pass."""
        return self.deny or bool(self.roles) or bool(self.users) or self.two_factor is not None


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
    hosts: Callable[[str], bool] | None = None
    networks: Callable[[str], bool] | None = None


class Policy(NamedTuple):
    rules: tuple[Rule, ...]
    uses_methods: bool
    """Then method overrides in headers are taken out: the rule must have seen what the application does."""
    own: int = 0
    """How many of the rules, which come first, are those of one application."""
    application: str = ""
    """Its name."""

    def label(self, index: int) -> str:
        """What the operator calls the rule with this index."""
        if index >= self.own:
            return f"rules[{index - self.own}]"
        return f"{self.application}.rules[{index}]" if self.application else f"upstream.rules[{index}]"


class Decision(NamedTuple):
    outcome: Outcome
    rule: int | None
    """Index of the rule that decided, None for the default (signed in)."""


_DEFAULT_ALLOW = Decision(Outcome.ALLOW, None)
_DEFAULT_SIGN_IN = Decision(Outcome.SIGN_IN, None)


def compile_glob(
    glob: str, *, case_insensitive: bool = False, trailing_slash: bool = False
) -> re.Pattern[str]:
    """A path glob as a pattern for `fullmatch`.

    `*` and `?` stop at a slash; `**` is a whole segment and stands for any number of them, none included:
    `/admin/**` is `/admin` itself and everything below. Every wildcard but the last of its kind is atomic,
    so that no address can make matching slow. With `trailing_slash`, `/private` is `/private/` too. Raises
    ValueError with what is wrong, in words.
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
    if open_end:
        pattern += "(?:/.*)?"
    elif trailing_slash and segments[-1] != "":
        pattern += "/?"
    return re.compile(pattern, re.DOTALL)


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


def compile_path_regex(pattern: str, *, case_insensitive: bool = False) -> re.Pattern[str]:
    """A regular expression for `fullmatch` on a path.

    Raises ValueError for one that some address could make slow (see `core.linear`).
    """
    check_linear(pattern, ignore_case=case_insensitive)
    return re.compile(pattern, re.IGNORECASE if case_insensitive else re.NOFLAG)


def make_allow(
    *, roles: Iterable[str] = (), users: Iterable[str] = (), two_factor: float | None = None
) -> Allow:
    """Somebody with one of `roles`, or one of `users`; with neither, every signed-in person."""
    return Allow(
        roles=frozenset(roles), users=frozenset(login_key(user) for user in users), two_factor=two_factor
    )


def make_rule(
    path: str | None,
    methods: Iterable[str] | None,
    allow: Allow,
    *,
    path_regex: str | None = None,
    hosts: Sequence[str] | None = None,
    networks: Sequence[Network] | None = None,
    scheme: str = "https",
    case_insensitive: bool = False,
) -> Rule:
    """Everything that is given must match; `path` or `path_regex`, not both. Raises ValueError.

    `scheme` is that of the public address: its own port need not be written in `hosts`.
    """
    pattern = None
    if path_regex is not None:
        pattern = compile_path_regex(path_regex, case_insensitive=case_insensitive)
    elif path is not None:
        # Many frameworks serve /private/ as /private: who may not have the one shall not have the other.
        pattern = compile_glob(path, case_insensitive=case_insensitive, trailing_slash=allow.restrictive)
    upper = frozenset(method.upper() for method in methods) if methods is not None else None
    if upper is not None and "GET" in upper:
        upper |= {"HEAD"}  # HEAD is GET without the body (RFC 9110 section 9.3.2): no rule may differ
    source = path or (f"~{path_regex}" if path_regex is not None else "any path")
    if upper is not None:
        source += " " + ",".join(sorted(upper))
    if hosts is not None:
        source += " on " + ",".join(hosts)
    if networks is not None:
        source += " from " + ",".join(map(str, networks))
    return Rule(
        pattern,
        upper,
        allow,
        source,
        compile_hosts(hosts, scheme) if hosts is not None else None,
        compile_networks(networks) if networks is not None else None,
    )


def make_policy(rules: Sequence[Rule], *, own: Sequence[Rule] = (), application: str = "") -> Policy:
    """`own` are the rules of one application, called `application`, and come before `rules`."""
    every = (*own, *rules)
    return Policy(every, any(rule.methods is not None for rule in every), len(own), application)


def decide(policy: Policy, facts: Facts, session: Session | None, now: float) -> Decision:
    """The answer for a request at `now` (seconds since the epoch), from facts alone: no I/O, no await.

    `session` must be alive; a half-finished sign-in counts as none. With several readings of the path the
    strictest answer wins. Default: signed in.
    """
    signed_in = session if session is not None and session.step == "" else None
    readings = facts.target.readings
    decision = _decide_reading(policy, facts, readings[0], signed_in, now)
    for reading in readings[1:]:
        other = _decide_reading(policy, facts, reading, signed_in, now)
        if other.outcome > decision.outcome:
            decision = other
    return decision


def proved(record: SessionRecord, age: float, now: float) -> bool:
    """Whether a second factor was proved less than `age` seconds ago. ASVS 5.0 V7.5.3.

    A browser that is trusted instead of a code proved none.
    """
    return record.second_factor_at > 0.0 and now - record.second_factor_at < age


def _decide_reading(policy: Policy, facts: Facts, path: str, session: Session | None, now: float) -> Decision:
    method = facts.method
    for index, (pattern, methods, allow, _, hosts, networks) in enumerate(policy.rules):
        if (
            (methods is None or method in methods)
            and (pattern is None or pattern.fullmatch(path) is not None)
            and (hosts is None or hosts(facts.host))
            and (networks is None or networks(facts.client))
        ):
            return Decision(_answer(allow, session, now), index)
    return _DEFAULT_SIGN_IN if session is None else _DEFAULT_ALLOW


def _answer(allow: Allow, session: Session | None, now: float) -> Outcome:
    if allow.deny:
        return Outcome.DENY
    if allow.public:
        return Outcome.ALLOW
    if session is None:
        return Outcome.SIGN_IN
    if allow.roles or allow.users:
        user = session.user
        if allow.roles.isdisjoint(user.roles) and not (allow.users and login_key(user.login) in allow.users):
            return Outcome.FORBIDDEN
    if allow.two_factor is not None and not proved(session.record, allow.two_factor, now):
        return Outcome.STEP_UP
    return Outcome.ALLOW
