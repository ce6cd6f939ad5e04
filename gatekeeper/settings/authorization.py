"""`upstream.authorization`: for applications that have a lock of their own."""

from __future__ import annotations

import base64
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictBool, ValidationInfo, ValidatorFunctionWrapHandler, model_validator

from gatekeeper.settings.base import FilePath, Misfit, OneOrMany, Section
from gatekeeper.settings.secrets import open_to_others

Word = Literal["pass", "drop"]
_WHOLE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+ +[!-~][ -~]*\Z")
"""A scheme and what it needs (RFC 9110 section 11.4)."""
_MAX_BYTES = 4096


class RoleAuthorization(Section):
    """What is sent for people who have one of the roles."""

    role: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), OneOrMany]
    """Names of roles."""

    file: FilePath
    """A file with the value."""


class AuthorizationSettings(Section):
    """A value that is sent to the application for signed-in people, in place of what they sent."""

    inline: ClassVar[bool] = True

    file: FilePath | None = None
    """A file with the value: user:password, or a whole value such as `Bearer …`. For everybody."""

    roles: tuple[RoleAuthorization, ...] = ()
    """Values for single roles; the first that somebody has is sent."""

    otherwise: Word = "drop"
    """For whom none of `roles` fits: `drop` or `pass` the client's own."""

    public: StrictBool = False
    """Also send it with requests for pages that rules make public."""

    @model_validator(mode="after")
    def _one_of_two(self) -> AuthorizationSettings:
        if (self.file is None) == (not self.roles):
            raise ValueError("needs either file or roles")
        if self.file is not None and "otherwise" in self.model_fields_set:
            raise Misfit(("otherwise",), "has no effect: file is for everybody")
        return self

    @property
    def files(self) -> tuple[tuple[tuple[str | int, ...], tuple[str, ...] | None, Path], ...]:
        """Each file: its place in the configuration, its roles (None for everybody), its path."""
        if self.file is not None:
            return ((("file",), None, self.file),)
        return tuple((("roles", index, "file"), one.role, one.file) for index, one in enumerate(self.roles))


def word_or_section(
    value: Any, _whole: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> Word | AuthorizationSettings:
    """Each mistake is told at its own place."""
    if isinstance(value, AuthorizationSettings):
        return value
    if value == "pass":
        return "pass"
    if value == "drop":
        return "drop"
    if not isinstance(value, dict):
        raise ValueError("must be pass, drop, or a section with file or roles")
    return AuthorizationSettings.model_validate(value, context=info.context)


def read_authorization(path: Path) -> str:
    """The header's value from the one line in `path`; `ValueError` (never with the content) says what is
    wrong. user:password becomes Basic, in UTF-8 (RFC 7617)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is not a file")
        if complaint := open_to_others(path, status):
            raise ValueError(complaint)
        raw = file.read(_MAX_BYTES + 1)
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if len(raw) > _MAX_BYTES or not text or not text.isprintable():
        raise ValueError(f"{path} must hold one line of at most {_MAX_BYTES} bytes")
    if _WHOLE.match(text):
        return text
    if ":" not in text:
        raise ValueError(f"{path} holds neither user:password nor a whole value such as `Bearer …`")
    return "Basic " + base64.b64encode(text.encode()).decode()
