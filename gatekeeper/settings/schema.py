"""The JSON Schema (draft 2020-12) of the configuration, for editors and other people's checks."""

from __future__ import annotations

from typing import Any

from gatekeeper.settings.model import Settings
from gatekeeper.settings.units import duration_text, size_text


def json_schema() -> dict[str, Any]:
    """What a YAML file may say; a schema cannot say all that `check` does."""
    schema = Settings.model_json_schema(mode="validation")
    for section in (schema, *schema["$defs"].values()):
        for name, key in section["properties"].items():
            section["properties"][name] = _as_written(key)
    keys = schema["properties"]
    keys["upstream"]["anyOf"].insert(0, {"type": "string"})
    schema["required"].append("upstream")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Gatekeeper configuration",
        "description": "The YAML file of Gatekeeper.",
    }


def _as_written(key: dict[str, Any]) -> dict[str, Any]:
    """A key's schema as the file has it: no null in place of a value, units in defaults."""
    key = {name: value for name, value in key.items() if name != "title"}
    alternatives = [one for one in key.pop("anyOf", []) if one != {"type": "null"}]
    if len(alternatives) == 1:
        key = {**alternatives[0], **key}
    elif alternatives:
        key["anyOf"] = alternatives
    if "description" in key:
        key["description"] = " ".join(key["description"].split())
    default = key.get("default")
    if default is None or default == "" or isinstance(default, dict):
        key.pop("default", None)
    elif key.get("pattern", "").endswith("h|d)$"):
        key["default"] = duration_text(default)
    elif key.get("pattern", "").endswith("i?B)$"):
        key["default"] = size_text(default)
    return key
