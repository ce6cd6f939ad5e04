"""`upstream` as a whole: one application or several, each in a place of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationInfo, ValidatorFunctionWrapHandler

from gatekeeper.core.hosts import normalise_host
from gatekeeper.settings.addresses import NO_URL, Place, loops, parse_host_port, parse_place
from gatekeeper.settings.base import Misfit
from gatekeeper.settings.problems import Loc
from gatekeeper.settings.rules import Rule, check_fits
from gatekeeper.settings.two_factor import TwoFactorSettings
from gatekeeper.settings.upstream import UpstreamSettings

Upstreams = UpstreamSettings | tuple[UpstreamSettings, ...] | None

_SEVERAL: TypeAdapter[tuple[UpstreamSettings, ...]] = TypeAdapter(tuple[UpstreamSettings, ...])


def one_or_several(value: Any, _whole: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Upstreams:
    """A list is one of several applications, all else is one; each mistake is told at its own place."""
    if value is None or value in (NO_URL, {"url": NO_URL}):
        return None
    if isinstance(value, list | tuple):
        return _SEVERAL.validate_python(value, context=info.context)
    return UpstreamSettings.model_validate(value, context=info.context)


def places_of(application: UpstreamSettings, public_url: str) -> tuple[Place, ...]:
    """Where people find `application`, each with its host, normalised."""
    parts = urlsplit(public_url)
    found = [parse_place(text) for text in application.at] or [Place("", "/")]
    return tuple(
        Place(normalise_host(place.host or parts.netloc, parts.scheme), place.path) for place in found
    )


def located(upstreams: Upstreams) -> list[tuple[Loc, UpstreamSettings]]:
    """Each application, and where it is below `upstream`."""
    if isinstance(upstreams, tuple):
        return [((index,), application) for index, application in enumerate(upstreams)]
    return [] if upstreams is None else [((), upstreams)]


def check_upstreams(upstreams: Upstreams, earlier: Mapping[str, Any]) -> None:
    """Raises Misfit and ValueError; `earlier` are the values of the keys that come before `upstream`."""
    if upstreams is None and earlier.get("trusted_proxies") == ():
        raise ValueError("none leaves it to another proxy to ask: trusted_proxies must have its address")
    if isinstance(upstreams, tuple):
        _check_names(upstreams)
    for loc, application in located(upstreams):
        if application.url == NO_URL and earlier.get("trusted_proxies") == ():
            message = "none leaves it to another proxy to ask: trusted_proxies must have its address"
            raise Misfit((*loc, "url"), message)
        for address in earlier.get("listen", ()):
            if application.forwards and loops(address, application.url):
                raise Misfit((*loc, "url"), f"leads to {address}, where Gatekeeper itself listens")
    if "public_url" in earlier:
        _check_places(upstreams, earlier["public_url"])


def _check_names(upstreams: Sequence[UpstreamSettings]) -> None:
    if not upstreams:
        raise ValueError("must not be empty")
    taken: dict[str, int] = {}
    for index, application in enumerate(upstreams):
        if not application.name:
            raise Misfit((index,), "needs a name, such as orders: it is one of a list")
        if (other := taken.setdefault(application.name, index)) != index:
            raise Misfit((index, "name"), f"{application.name} is the name of upstream[{other}] already")


def _check_places(upstreams: Upstreams, public_url: str) -> None:
    taken: list[tuple[Place, UpstreamSettings]] = []
    for loc, application in located(upstreams):
        for place in places_of(application, public_url):
            for other, owner in taken:
                fold = application.case_insensitive or owner.case_insensitive
                same = place.path.casefold() == other.path.casefold() if fold else place.path == other.path
                if place.host == other.host and same:
                    whose = "twice" if owner is application else f"already, by {owner.label}"
                    message = f"{place} is taken {whose}"
                    raise Misfit((*loc, "at") if application.at else loc, message)
            taken.append((place, application))


def check_rules(rules: Sequence[Rule], upstreams: Upstreams, two_factor: TwoFactorSettings | None) -> None:
    """Raises Misfit, about the rules of the whole configuration and those of single applications."""
    every = located(upstreams)
    check_fits(
        rules,
        two_factor=two_factor,
        case_insensitive=any(application.case_insensitive for _, application in every),
        allow_in_path={sign for _, application in every for sign in application.allow_in_path},
    )
    for index, rule in enumerate(rules):
        if every and all(any(own.covers(rule) for own in application.rules) for _, application in every):
            whose = (
                "the application has a rule of its own that comes"
                if len(every) == 1
                else ("every application has a rule of its own that comes")
            )
            raise Misfit((index,), f"never decides anything: {whose} first and matches all that it does")


def application_problems(
    upstreams: Upstreams, prefix: str, two_factor: TwoFactorSettings
) -> Iterator[tuple[Loc, str]]:
    """What in an application does not go with the rest of the configuration, by its place in `upstream`."""
    for loc, application in located(upstreams):
        for index, text in enumerate(application.at):
            path = parse_place(text).path
            if path == prefix or path.startswith(prefix + "/"):
                yield (*loc, "at", index), f"is below {prefix}, where Gatekeeper's own pages are (prefix)"
        try:
            check_fits(
                application.rules,
                two_factor=two_factor,
                case_insensitive=application.case_insensitive,
                allow_in_path=application.allow_in_path,
            )
        except Misfit as error:
            yield (*loc, "rules", *error.loc), str(error)


def domain_problem(domain: str, scheme: str, hosts: Sequence[str]) -> str:
    """Why `hosts` cannot share a cookie for `domain`, "" when they can (or `domain` is "")."""
    if domain and scheme != "https":
        return "is for https alone: on plain http any host could read and set the cookie"
    for host in hosts if domain else ():
        name = parse_host_port(host).host
        if name != domain and not name.endswith("." + domain):
            return f"is not above {name}, where people find us as well"
    return ""
