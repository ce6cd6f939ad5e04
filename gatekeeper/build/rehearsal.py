"""What a new configuration would answer, beside what the old one does, for example requests.

Examples are made from what the rules themselves say, so they show what a rule was meant for. They prove
nothing about addresses that nobody thought of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Literal, NamedTuple
from urllib.parse import quote

from gatekeeper.build.gate import make_gate_config
from gatekeeper.core.applications import Application
from gatekeeper.core.context import Facts, Kind
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.policy import Outcome, decide, proved
from gatekeeper.core.session import Session
from gatekeeper.core.users import login_key
from gatekeeper.settings import Settings
from gatekeeper.settings.rules import Rule

MOST = 5000
"""Example requests at most: a long list of rules with many hosts and networks would make millions."""
_WORD = "example"

Kinds = Literal["loses", "gains", "differs"]


class Example(NamedTuple):
    method: str
    host: str
    path: str
    """Percent-encoded."""
    client: str
    """"" for an address in no network."""


class Answer(NamedTuple):
    outcome: str
    """`Outcome` in small letters, or "refused" before any rule."""
    rule: str
    """The label of the rule that decided; "" for none."""


class Difference(NamedTuple):
    """One request that is answered differently."""

    kind: Kinds
    example: Example
    before: Answer
    after: Answer


def make_examples(old: Settings, new: Settings, more: Iterable[str] = ()) -> tuple[list[Example], int]:
    """Examples for every rule of both and for what none is about, and how many beyond MOST were left out.

    `more` are further paths.
    """
    both = (old, new)
    every = [rule for one in both for rule in _rules(one)]
    paths: dict[str, None] = {}
    for one in both:
        for application in one.applications:
            for place in one.places(application):
                base = place.path.removesuffix("/")
                paths |= dict.fromkeys((base or "/", f"{base}/{_WORD}"))
    for rule in every:
        paths |= dict.fromkeys(_paths(rule))
    paths |= dict.fromkeys(more)
    hosts = dict.fromkeys(host for one in both for host in one.hosts)
    methods = dict.fromkeys(["GET", *(name.upper() for rule in every for name in rule.methods or ())])
    networks = [network for rule in every for network in rule.networks or ()]
    clients = dict.fromkeys(["", *(str(network[min(1, network.num_addresses - 1)]) for network in networks)])
    combined = product(paths, methods, hosts, clients)
    examples = [
        Example(method, host, quote(path, safe="/%;,:@!$&'()*+=~"), client)
        for (path, method, host, client), _ in zip(combined, range(MOST), strict=False)
    ]
    return examples, len(paths) * len(methods) * len(hosts) * len(clients) - len(examples)


def without_example(settings: Settings) -> list[Rule]:
    """Rules about a regular expression: no address can be made from it."""
    return [rule for rule in _rules(settings) if rule.path_regex is not None]


class Rehearsal:
    """Compares the answers of two configurations. Pure: nothing is opened, nothing is asked."""

    def __init__(self, old: Settings, new: Settings, examples: Sequence[Example]) -> None:
        self._examples = examples
        self._before, self._after = _questions(old, examples), _questions(new, examples)
        allows = [
            rule.allow
            for question in (*self._before, *self._after)
            if question is not None
            for rule in question[1].policy.rules
        ]
        self._users = frozenset().union(*(allow.users for allow in allows))
        self._ages = sorted({allow.two_factor for allow in allows if allow.two_factor is not None})
        self._known: dict[object, list[Difference]] = {}

    def compare(self, before: Session | None, after: Session | None, now: float) -> list[Difference]:
        """How the answers differ for somebody whose session is `before` now and would be `after`.

        None: not signed in.
        """
        key = (self._who(before, now), self._who(after, now))
        if key not in self._known:
            self._known[key] = list(self._differences(before, after, now))
        return self._known[key]

    def _who(self, session: Session | None, now: float) -> object:
        """All that a decision knows of a person: many of them are alike."""
        if session is None or session.step:
            return None
        login = login_key(session.user.login)
        return (
            frozenset(session.user.roles),
            login if login in self._users else "",
            tuple(proved(session.record, age, now) for age in self._ages),
        )

    def _differences(self, before: Session | None, after: Session | None, now: float) -> Iterator[Difference]:
        for example, old, new in zip(self._examples, self._before, self._after, strict=True):
            was, will = _answer(old, before, now), _answer(new, after, now)
            if was.outcome != will.outcome:
                kind: Kinds = (
                    "loses" if was.outcome == "allow" else "gains" if will.outcome == "allow" else "differs"
                )
                yield Difference(kind, example, was, will)


def _rules(settings: Settings) -> list[Rule]:
    return [*(rule for one in settings.applications for rule in one.rules), *settings.rules]


def _paths(rule: Rule) -> Iterator[str]:
    """Addresses that a rule is about: `**` as nothing and as one segment."""
    if rule.path is None:
        return
    segments = rule.path.split("/")[1:]
    for filling in ([], [_WORD]):
        made: list[str] = []
        for segment in segments:
            made += filling if segment == "**" else [segment.replace("*", _WORD).replace("?", "x")]
        yield "/" + "/".join(made)


def _questions(settings: Settings, examples: Sequence[Example]) -> list[tuple[Facts, Application] | None]:
    """None where a request is refused before any rule."""
    config = make_gate_config(settings)
    found: list[tuple[Facts, Application] | None] = []
    for method, host, path, client in examples:
        ours = config.hosts.find(host.encode("ascii"))
        if ours is None:
            found.append(None)
            continue
        try:
            target, application = config.target(ours, path.encode("ascii"), b"")
        except RequestRejected:
            found.append(None)
            continue
        facts = Facts(method, settings.public_scheme, ours, target, client, Kind.NAVIGATION)
        found.append(None if application is None else (facts, application))
    return found


def _answer(question: tuple[Facts, Application] | None, session: Session | None, now: float) -> Answer:
    if question is None:
        return Answer("refused", "")
    facts, application = question
    decision = decide(application.policy, facts, session, now)
    label = "" if decision.rule is None else application.policy.label(decision.rule)
    return Answer(Outcome(decision.outcome).name.lower(), label)
