"""A configuration without its secrets, to be kept and compared with another one.

Secrets are replaced by fingerprints (HMAC-SHA256, RFC 2104, with a signing secret of the installation as the
key): whoever reads a snapshot learns none, and whoever has the signing secret can tell whether one changed.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gatekeeper.settings.document import Document
from gatekeeper.settings.load import Source, secret_places
from gatekeeper.settings.model import Settings
from gatekeeper.settings.problems import Loc, SettingsError
from gatekeeper.settings.validation import validate

_PURPOSE = b"gatekeeper configuration snapshot\0"


class Snapshot(NamedTuple):
    """What `read_snapshot` found."""

    settings: Settings
    """With fingerprints in place of secrets: for comparing, not for opening anything."""
    key: str
    """The signing secret that the fingerprints were made with; "" when it was none of those given."""
    variables: tuple[str, ...]


def write_snapshot(source: Source, secret: str, *, version: str) -> str:
    """`source` as JSON; `secret` is the first one that signs."""
    data = copy.deepcopy(dict(source.data))
    for loc in secret_places(data):
        _redact(data, loc, secret)
    content = {
        "version": version,
        "base": str(source.base),
        "key": _fingerprint("", secret),
        "variables": source.variables,
        "data": data,
    }
    return json.dumps(content, ensure_ascii=False, indent=1)


def read_snapshot(text: str, secrets: Sequence[str]) -> Snapshot:
    """Raises ValueError for what this version cannot read."""
    try:
        content = json.loads(text)
        key = next((one for one in secrets if _fingerprint("", one) == content["key"]), "")
        settings = validate(Document("", data=content["data"]), Path(content["base"]))
        variables = tuple(map(str, content["variables"]))
    except (KeyError, TypeError, SettingsError, ValueError) as error:
        raise ValueError("it was written by another version of Gatekeeper, or is damaged") from error
    return Snapshot(settings, key, variables)


def _redact(data: dict[str, Any], loc: Loc, secret: str) -> None:
    here: Any = data
    for part in loc[:-1]:
        inner = here[part] if isinstance(part, int) else here.get(part) if isinstance(here, dict) else None
        if not isinstance(inner, dict | list):
            return
        here = inner
    name = loc[-1]
    if isinstance(here, dict) and here.get(str(name)) is not None:
        value = here[str(name)]
        here[str(name)] = (
            [_fingerprint(one, secret) for one in value]
            if isinstance(value, list)
            else _fingerprint(value, secret)
        )


def _fingerprint(value: object, secret: str) -> str:
    digest = hmac.new(secret.encode(), _PURPOSE + str(value).encode(), hashlib.sha256)
    return f"secret-{digest.hexdigest()[:32]}"
