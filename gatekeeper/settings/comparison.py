"""What differs between two configurations: rules one by one, everything else by the name of its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from pydantic import SecretStr

from gatekeeper.settings.model import Settings
from gatekeeper.settings.rules import Rule

Change = Literal["added", "removed", "moved", "changed"]
_MISSING = object()


class RuleChange(NamedTuple):
    """One rule that is not as it was. Labels are such as `rules[2]`; "" where it is not (any more)."""

    change: Change
    before: str
    after: str
    old: Rule | None
    new: Rule | None


def compare_rules(old: Settings, new: Settings) -> list[RuleChange]:
    """Every rule that was added, removed, changed (who may) or that others now come before or after."""
    before, after = _lists(old), _lists(new)
    found: list[RuleChange] = []
    for name in [*after, *(name for name in before if name not in after)]:
        found += _compare(name, before.get(name, ()), after.get(name, ()))
    return found


def compare_keys(old: Settings, new: Settings, *, secrets: bool = True) -> list[str]:
    """The names of all other keys whose value changed, in the order of the configuration.

    With `secrets` false, secrets other than `secret` itself are left out: their fingerprints were made with
    different keys and say nothing.
    """
    before, after = dict(_values("", old.model_dump())), dict(_values("", new.model_dump()))
    names = dict.fromkeys([*after, *before])
    changed = [name for name in names if before.get(name, _MISSING) != after.get(name, _MISSING)]
    if secrets:
        return changed
    hidden = {name for name in changed if SecretStr in (type(before.get(name)), type(after.get(name)))}
    return [name for name in changed if name not in hidden]


def _lists(settings: Settings) -> dict[str, tuple[Rule, ...]]:
    lists = {}
    for application in settings.applications:
        lists[f"{application.name or 'upstream'}.rules"] = application.rules
    return lists | {"rules": settings.rules}


def _compare(name: str, old: tuple[Rule, ...], new: tuple[Rule, ...]) -> Iterator[RuleChange]:
    # A rule that is not alike at its place: by what it says, else by what it is about.
    gone, come = set(range(len(old))), set(range(len(new)))
    for block in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        gone -= set(range(block.a, block.a + block.size))
        come -= set(range(block.b, block.b + block.size))
    pairs: dict[int, tuple[Change, int]] = {}
    ways: tuple[tuple[Change, Callable[[Rule], object]], ...] = (("moved", _whole), ("changed", _subject))
    for change, same in ways:
        for index in sorted(come - pairs.keys()):
            match = next((other for other in sorted(gone) if same(old[other]) == same(new[index])), None)
            if match is not None:
                gone.discard(match)
                pairs[index] = (change, match)
    for index in sorted(come):
        after = f"{name}[{index}]"
        if index in pairs:
            change, other = pairs[index]
            yield RuleChange(change, f"{name}[{other}]", after, old[other], new[index])
        else:
            yield RuleChange("added", "", after, None, new[index])
    for index in sorted(gone):
        yield RuleChange("removed", f"{name}[{index}]", "", old[index], None)


def _whole(rule: Rule) -> object:
    return rule


def _subject(rule: Rule) -> object:
    return (rule.host, rule.path, rule.path_regex, rule.methods, rule.networks)


def _values(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Each value with its dotted name. Applications and providers are told apart by their own names."""
    if name == "rules" or name.endswith(".rules"):
        return
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _values(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, tuple | list) and value and all(isinstance(one, Mapping) for one in value):
        for index, inner in enumerate(value):
            yield from _values(f"{name}[{inner.get('name') or index}]", inner)
    else:
        yield name, value
