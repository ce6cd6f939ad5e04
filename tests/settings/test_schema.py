"""The JSON Schema says what the file may say."""

from __future__ import annotations

import json
import re

from gatekeeper.settings.keys import key_paths
from gatekeeper.settings.schema import json_schema
from gatekeeper.settings.units import parse_duration


def test_every_key_is_in_the_schema_with_a_description() -> None:
    schema = json_schema()
    for path in key_paths():
        place = schema
        for part in path:
            options = [place, *place.get("anyOf", [])]
            refs = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
            place = (schema["$defs"][refs[0]] if refs else place)["properties"][part]
        assert place.get("description") or "$ref" in place, path


def test_no_unknown_key_and_no_null_is_allowed() -> None:
    schema = json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert section["additionalProperties"] is False
    assert "null" not in json.dumps(schema)
    assert schema["required"] == ["public_url", "upstream"]


def test_defaults_are_written_as_in_the_file() -> None:
    session = json_schema()["$defs"]["SessionSettings"]["properties"]["idle_timeout"]
    assert session["default"] == "15m"
    assert session["type"] == "string"
    assert re.search(session["pattern"], "500ms")
    assert parse_duration(session["default"]) == 900
    limits = json_schema()["$defs"]["LimitsSettings"]["properties"]
    assert limits["request_body"]["default"] == "2GB"


def test_one_or_many_and_shorthands_are_alternatives() -> None:
    schema = json_schema()
    assert schema["properties"]["upstream"]["anyOf"] == [
        {"type": "string"},
        {"$ref": "#/$defs/UpstreamSettings"},
        {"items": {"$ref": "#/$defs/UpstreamSettings"}, "type": "array"},
    ]
    assert [one["type"] for one in schema["properties"]["listen"]["anyOf"]] == ["string", "array"]
    words = schema["$defs"]["UpstreamSettings"]["properties"]["allow_in_path"]["anyOf"][0]["enum"]
    assert words == ["%2F", ";", "//"]
