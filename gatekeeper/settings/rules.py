"""`rules`: who may do what. First match wins; what no rule matches needs a sign-in."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gatekeeper.settings.base import OneOrMany, Section
from gatekeeper.settings.names import METHODS, check_glob, check_method
from gatekeeper.settings.problems import did_you_mean, one_of

Word = Literal["public", "signed_in", "deny"]
_WORDS: tuple[str, ...] = get_args(Word)

Glob = Annotated[str, AfterValidator(check_glob)]
Method = Annotated[str, AfterValidator(check_method), Field(json_schema_extra={"enum": sorted(METHODS)})]
Name = Annotated[str, Field(min_length=1, max_length=255)]


class Access(Section):
    """Somebody who has one of the roles, or is one of the users."""

    roles: Annotated[tuple[Name, ...], OneOrMany] = ()
    """Names of roles."""

    users: Annotated[tuple[Name, ...], OneOrMany] = ()
    """Logins; spelled as at sign-in, upper and lower case are the same."""

    @model_validator(mode="after")
    def _somebody(self) -> Access:
        if not self.roles and not self.users:
            raise ValueError("names no role and no user; did you mean signed_in or deny?")
        return self


def _word(value: Any) -> Any:
    if isinstance(value, str):
        if value not in _WORDS:
            near = did_you_mean(value.replace("-", "_"), _WORDS)
            raise ValueError(f"must be {one_of(_WORDS)}, or a section with roles and users{near}")
        return value
    if isinstance(value, Access):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"must be {one_of(_WORDS)}, or a section with roles and users")
    return Access.model_validate(value)


class Rule(Section):
    """One rule: what it is about, and who may."""

    path: Glob | None = None
    """Paths it is about: `*` and `?` stay within a segment, `**` is any number of whole segments.
    Left out: every path."""

    methods: Annotated[tuple[Method, ...], Field(min_length=1), OneOrMany] | None = None
    """HTTP methods it is about; GET includes HEAD. Left out: every method."""

    allow: Annotated[Word | Access, BeforeValidator(_word, json_schema_input_type=Word | Access)]
    """`public` (anyone), `signed_in`, `deny` (nobody), or a section with `roles` and `users`."""

    def covers(self, later: Rule) -> bool:
        """Whether nothing that `later` is about gets past this rule (judged by how they are written)."""
        if self.path not in (None, "/**", later.path):
            return False
        if self.methods is None:
            return True
        own = {*self.methods, "HEAD"} if "GET" in self.methods else set(self.methods)
        return later.methods is not None and own.issuperset(later.methods)
