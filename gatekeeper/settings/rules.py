"""`rules`: who may do what. First match wins; what no rule matches needs a sign-in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from gatekeeper.core.policy import ANY_TIME, compile_path_regex
from gatekeeper.settings.addresses import Network, parse_host_port, parse_network
from gatekeeper.settings.base import Misfit, OneOrMany, Section
from gatekeeper.settings.names import METHODS, check_glob, check_method, check_path_regex
from gatekeeper.settings.problems import did_you_mean, one_of
from gatekeeper.settings.two_factor import TwoFactorSettings
from gatekeeper.settings.units import parse_duration

T = TypeVar("T")
Word = Literal["public", "signed_in", "deny"]
_WORDS: tuple[str, ...] = get_args(Word)

Glob = Annotated[str, AfterValidator(check_glob)]
Method = Annotated[str, AfterValidator(check_method), Field(json_schema_extra={"enum": sorted(METHODS)})]
Regex = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(check_path_regex)]
Name = Annotated[str, Field(min_length=1, max_length=255)]
_SHORTEST, _LONGEST = "30s", "30d"


def _check_host(text: str) -> str:
    """A host pattern, normalised. `ValueError` says what is wrong."""
    star = "*." if text.startswith("*.") else ""
    if "*" in text.removeprefix(star) or "/" in text:
        raise ValueError("is a host such as app.example.com, *.example.com or app.example.com:8443")
    place = parse_host_port(text.removeprefix(star))
    if star and (place.host.startswith("[") or place.host.replace(".", "").isdigit()):
        raise ValueError("has `*.` before an address, which has no names below it")
    return star + place.host + (f":{place.port}" if place.port is not None else "")


def _check_network(value: Any) -> Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an address or a network such as 10.0.0.0/8")
    return parse_network(value)


def _check_two_factor(value: Any) -> float | None:
    """Seconds; infinite for `true`."""
    if value is True or value == ANY_TIME:
        return ANY_TIME
    if value is False:
        raise ValueError("must be true or a duration such as 10m; leave it out where no code is needed")
    seconds = parse_duration(value if isinstance(value, str) else "?")
    if not parse_duration(_SHORTEST) <= seconds <= parse_duration(_LONGEST):
        raise ValueError(f"must be true, or between {_SHORTEST} and {_LONGEST}")
    return seconds


Host = Annotated[str, Field(min_length=1), AfterValidator(_check_host)]
ClientNetwork = Annotated[Network, BeforeValidator(_check_network), WithJsonSchema({"type": "string"})]
TwoFactor = Annotated[
    float | None,
    BeforeValidator(_check_two_factor),
    WithJsonSchema(
        {"anyOf": [{"const": True}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"}]}
    ),
]


class Access(Section):
    """Somebody who has one of the roles, or is one of the users, and proved what is asked for."""

    roles: Annotated[tuple[Name, ...], OneOrMany] = ()
    """Names of roles."""

    users: Annotated[tuple[Name, ...], OneOrMany] = ()
    """Logins; spelled as at sign-in, upper and lower case are the same."""

    two_factor: TwoFactor = None
    """A second factor must have been proved in this session: `true`, or not longer ago than such as `10m`.
    Without roles and users: every signed-in person who did."""

    @model_validator(mode="after")
    def _somebody(self) -> Access:
        if not self.roles and not self.users and self.two_factor is None:
            raise ValueError("names no role and no user; did you mean signed_in or deny?")
        return self


def _word(value: Any) -> Any:
    if isinstance(value, str):
        if value not in _WORDS:
            near = did_you_mean(value.replace("-", "_"), _WORDS)
            raise ValueError(f"must be {one_of(_WORDS)}, or a section with roles, users and two_factor{near}")
        return value
    if isinstance(value, Access):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be {one_of(_WORDS)}, or a section with roles, users and two_factor")
    return Access.model_validate(value)


class Rule(Section):
    """One rule: what it is about, and who may. Everything that is given must match."""

    host: Annotated[tuple[Host, ...], Field(min_length=1), OneOrMany] | None = None
    """Hosts it is about; `*.example.com` is every name below example.com. Without a port: every port.
    Left out: every host."""

    path: Glob | None = None
    """Paths it is about: `*` and `?` stay within a segment, `**` is any number of whole segments. A rule that
    keeps somebody out is about `/private/` too when it says `/private`. Left out: every path."""

    path_regex: Regex | None = None
    """The same as a regular expression that matches the whole path, in place of `path`."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1), OneOrMany] | None = None
    """HTTP methods it is about; GET includes HEAD. Left out: every method."""

    networks: Annotated[tuple[ClientNetwork, ...], Field(min_length=1), OneOrMany] | None = None
    """Networks of the clients it is about. Left out: every client."""

    allow: Annotated[Word | Access, BeforeValidator(_word, json_schema_input_type=Word | Access)]
    """`public` (anyone), `signed_in`, `deny` (nobody), or a section with `roles`, `users`, `two_factor`."""

    @model_validator(mode="after")
    def _one_path(self) -> Rule:
        if self.path is not None and self.path_regex is not None:
            raise Misfit(("path_regex",), "is given as well as path: keep one of the two")
        return self

    def covers(self, later: Rule) -> bool:
        """Whether nothing that `later` is about gets past this rule (judged by how they are written)."""
        return (
            self._covers_path(later)
            and self._covers_methods(later)
            and _covers(self.host, later.host, _host_within)
            and _covers(self.networks, later.networks, _network_within)
        )

    def _covers_path(self, later: Rule) -> bool:
        if self.path_regex is not None:
            return self.path_regex == later.path_regex
        return self.path in (None, "/**") or (later.path is not None and self.path == later.path)

    def _covers_methods(self, later: Rule) -> bool:
        if self.methods is None:
            return True
        own = {*self.methods, "HEAD"} if "GET" in self.methods else set(self.methods)
        return later.methods is not None and own.issuperset(later.methods)


def _covers(own: tuple[T, ...] | None, later: tuple[T, ...] | None, within: Callable[[T, T], bool]) -> bool:
    """Whether each of `later` is within one of `own`; None is everything."""
    if own is None:
        return True
    return later is not None and all(any(within(inner, outer) for outer in own) for inner in later)


def _host_within(inner: str, outer: str) -> bool:
    inner_place, outer_place = (
        parse_host_port(inner.removeprefix("*.")),
        parse_host_port(outer.removeprefix("*.")),
    )
    if outer_place.port not in (None, inner_place.port):
        return False
    if not outer.startswith("*."):
        return not inner.startswith("*.") and inner_place.host == outer_place.host
    below = inner_place.host.endswith("." + outer_place.host)
    return below or (inner.startswith("*.") and inner_place.host == outer_place.host)


def _network_within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def check_fits(
    rules: Sequence[Rule],
    *,
    two_factor: TwoFactorSettings | None,
    case_insensitive: bool,
    allow_in_path: Collection[str],
) -> None:
    """Raises Misfit when one of `rules` does not go with those before it or with the configuration.

    `allow_in_path` is what some application that they are about accepts; `case_insensitive` whether one is.
    """
    for index, rule in enumerate(rules):
        _check_fits(index, rule, two_factor, case_insensitive)
        for sign in (";", "//"):
            if sign in (rule.path or "") and sign not in allow_in_path:
                message = (
                    f"has `{sign}`, which is refused before any rule unless upstream.allow_in_path has it"
                )
                raise Misfit((index, "path"), message)
        for first, earlier in enumerate(rules[:index]):
            if earlier.covers(rule):
                message = f"never decides anything: rules[{first}] comes first and matches all that it does"
                raise Misfit((index,), message)


def _check_fits(index: int, rule: Rule, two_factor: TwoFactorSettings | None, case_insensitive: bool) -> None:
    asks = isinstance(rule.allow, Access) and rule.allow.two_factor is not None
    if asks and two_factor is not None and two_factor.mode == "off":
        raise Misfit(
            (index, "allow", "two_factor"), "lets nobody in with two_factor.mode: off; write mode: optional"
        )
    if rule.path_regex is not None and case_insensitive:
        try:
            compile_path_regex(rule.path_regex, case_insensitive=True)
        except ValueError as error:
            raise Misfit((index, "path_regex"), f"{error} (upstream.case_insensitive)") from None
