"""What every section of the configuration has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from gatekeeper.settings.problems import Loc


class Misfit(ValueError):
    """Two values that do not fit together; `loc` says, from where it is raised, which one is to be blamed."""

    def __init__(self, loc: Loc, message: str) -> None:
        super().__init__(message)
        self.loc = loc


class Section(BaseModel):
    """Immutable, and no key but its own."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    shorthand: ClassVar[str] = ""
    """The key that a bare text stands for, as `upstream: URL` does for `upstream: {url: URL}`."""

    inline: ClassVar[bool] = False
    """Whether it is written as one value: its keys have no variables of their own."""

    @classmethod
    def written_keys(cls) -> dict[str, FieldInfo]:
        """The fields by the names that the file has: a key such as `from` is a word of Python, too."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class OneOrMany:
    """Marks a list of texts that may be written as one text."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_one_or_many, handler(source))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _anchored(path: Path, info: ValidationInfo) -> Path:
    if str(path).startswith("~"):
        raise ValueError("`~` is not expanded: write the whole path")
    base = (info.context or {}).get("base")
    return (base or Path.cwd()) / path


def _not_empty(value: Any) -> Any:
    if value == "":
        raise ValueError("must be a path")
    return value


FilePath = Annotated[Path, BeforeValidator(_not_empty), AfterValidator(_anchored)]
"""A path; a relative one begins at the configuration file's folder (in code: at the working directory)."""
