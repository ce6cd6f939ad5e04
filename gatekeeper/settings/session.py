"""`session`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr, StrictBool, model_validator

from gatekeeper.settings.addresses import check_store, parse_host
from gatekeeper.settings.base import FilePath, Misfit, OneOrMany, Section
from gatekeeper.settings.names import check_cookie_name
from gatekeeper.settings.rules import Glob
from gatekeeper.settings.units import duration, size


def _check_domain(text: str) -> str:
    """The shared domain of several hosts, normalised; `ValueError` says what is wrong."""
    name = parse_host(text.removeprefix("."))
    if name.startswith("[") or name.replace(".", "").isdigit():
        raise ValueError("is an address, which has no hosts below it")
    if "." not in name:
        raise ValueError("has one label: browsers keep no cookie for all of a top-level domain")
    return name


class SessionSettings(Section):
    """How long a sign-in lasts. ASVS 5.0 V7.3."""

    store: Annotated[str, AfterValidator(lambda text: check_store(text) if text else text)] = ""
    """Where sessions are: `redis://host:port/db`, `rediss://…` with TLS, or
    `redis+sentinel://host:port,host:port/service?db=0`. Left out: in the database."""

    store_password: SecretStr | None = None
    """The password of Redis. The file that holds it must be readable by Gatekeeper alone."""

    store_password_file: FilePath | None = None
    """A file with the password, instead of `store_password`."""

    idle_timeout: Annotated[float, duration("1s", "365d")] = 900.0
    """A session ends after this long without activity."""

    absolute_timeout: Annotated[float, duration("1s", "365d")] = 28_800.0
    """A session ends this long after sign-in, whatever happens."""

    remember_me: StrictBool = False
    """Offer "Remember me" on the sign-in page. Without it no session is remembered."""

    remember: Annotated[float, duration("10m", "365d")] = 172_800.0
    """A remembered session ends this long after it was last used (to within 5 minutes), also when the browser
    was closed. It knows neither idle_timeout nor absolute_timeout."""

    remember_max: Annotated[float, duration("10m", "365d")] = 2_592_000.0
    """A remembered session ends this long after sign-in, whatever happens."""

    cookie_name: Annotated[str, AfterValidator(check_cookie_name)] = "gatekeeper"
    """On https it begins with `__Host-` in addition."""

    cookie_domain: Annotated[str, AfterValidator(_check_domain)] = ""
    """One sign-in for all hosts below this domain, https only: they must all be yours, for browsers send each
    of them the cookie, whose name then begins with `__Secure-`. Left out: a sign-in for each host."""

    background_paths: Annotated[tuple[Glob, ...], OneOrMany] = ()
    """Paths that pages ask for by themselves (polling): they do not count as activity."""

    keep_forms: StrictBool = False
    """Keep what is posted from the application's own pages into a session that just ended, encrypted and
    for 15 minutes, for the same person to send after signing in again."""

    keep_forms_max: Annotated[int, size("1KB", "100MB")] = 10_000_000
    """The largest form that is kept."""

    @model_validator(mode="after")
    def _password_of_a_store(self) -> SessionSettings:
        for key in ("store_password", "store_password_file"):
            if getattr(self, key) is not None and not self.store:
                raise Misfit((key,), "is given, but sessions are in the database: there is no store")
        if self.store_password is not None and self.store_password_file is not None:
            raise Misfit(("store_password_file",), "is given as well as store_password: keep one of the two")
        return self

    @model_validator(mode="after")
    def _within_the_longest(self) -> SessionSettings:
        if self.idle_timeout > self.absolute_timeout:
            key = "idle_timeout" if "idle_timeout" in self.model_fields_set else "absolute_timeout"
            raise Misfit(
                (key,), "idle_timeout is longer than absolute_timeout, and could never end a session"
            )
        if self.remember > self.remember_max:
            key = "remember" if "remember" in self.model_fields_set else "remember_max"
            raise Misfit((key,), "remember is longer than remember_max, and could never end a session")
        return self
