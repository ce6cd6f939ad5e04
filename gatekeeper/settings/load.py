"""One YAML file and the environment become `Settings`, or one error that says everything that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from gatekeeper.settings.document import MAX_BYTES, Document, read_document
from gatekeeper.settings.environment import PREFIX, override
from gatekeeper.settings.files import file_problems
from gatekeeper.settings.mail import MailSettings, with_password
from gatekeeper.settings.model import Settings
from gatekeeper.settings.problems import Loc, Problem, SettingsError
from gatekeeper.settings.providers import MicrosoftSettings, OidcSettings, with_client_secret
from gatekeeper.settings.secrets import (
    open_to_others,
    own_secret,
    present,
    read_line,
    read_secret_file,
    weakness,
)
from gatekeeper.settings.session import SessionSettings
from gatekeeper.settings.validation import locate, validate

_SECRETS: tuple[Loc, ...] = (
    ("secret",),
    ("database_password",),
    ("session", "store_password"),
    ("mail", "smtp", "password"),
    ("microsoft", "client_secret"),
)
"""Keys that a file open to others must not have, beside those in lists."""


class Source(NamedTuple):
    """What settings were made of: keys and values as written, variables included. It holds secrets."""

    data: Mapping[str, Any]
    base: Path
    """Where relative paths begin."""
    variables: tuple[str, ...]
    """The names of the variables of ours that there were."""


def load_settings(
    path: Path,
    environ: Mapping[str, str],
    *,
    create: bool = True,
    needs_upstream: bool = True,
    serving: bool = True,
) -> Settings:
    """As `load_with_source`, the settings alone."""
    found, _ = load_with_source(path, environ, create=create, needs_upstream=needs_upstream, serving=serving)
    return found


def load_with_source(
    path: Path,
    environ: Mapping[str, str],
    *,
    create: bool = True,
    needs_upstream: bool = True,
    serving: bool = True,
) -> tuple[Settings, Source]:
    """Read `path`, override from `environ`, check everything, and find or make the secret.

    With `create` false nothing is written: a secret that is not there yet stays absent. `needs_upstream`
    false is for Gatekeeper around a Python application. `serving` false is for commands of
    somebody who may not be allowed to read the TLS key and to write into the folders. Raises `SettingsError`
    with all problems.
    """
    raw, status = _read(path)
    document = read_document(raw, str(path))
    extra: dict[Loc, str] = {}
    for loc in secret_places(document.data):
        if _stands_in(document.data, loc) and (complaint := open_to_others(path, status)):
            extra[loc] = f"a secret stands in here, but {complaint}"
    base = path.absolute().parent
    settings = _finish(document, base, environ, extra, create, needs_upstream, serving)
    variables = tuple(sorted(name for name in environ if name.startswith(PREFIX)))
    return settings, Source(document.data, base, variables)


def secret_places(data: Mapping[str, Any]) -> list[Loc]:
    """Where secrets may stand in a configuration like this one."""
    listed = data.get("oidc")
    count = len(listed) if isinstance(listed, list) else 0
    return [*_SECRETS, *(("oidc", index, "client_secret") for index in range(count))]


def make_settings(
    data: Mapping[str, Any], *, base: Path | None = None, create: bool = True, needs_upstream: bool = False
) -> Settings:
    """The same from a mapping, for code: keys and values as in the YAML. Raises `SettingsError`."""
    document = Document("", data=dict(data))
    return _finish(document, (base or Path.cwd()).absolute(), {}, {}, create, needs_upstream, True)


def _without_address(data: Mapping[str, Any]) -> list[Loc]:
    """Where the address of an application is missing."""
    if "upstream" not in data:
        return [("upstream",)]
    upstream = data["upstream"]
    places: list[tuple[Loc, Any]] = [(("upstream",), upstream)]
    if isinstance(upstream, list):
        places = [(("upstream", index), section) for index, section in enumerate(upstream)]
    return [(*loc, "url") for loc, found in places if isinstance(found, Mapping) and "url" not in found]


def _stands_in(data: Mapping[str, Any], loc: Loc) -> bool:
    here: Any = data
    for key in loc:
        if isinstance(key, int):
            here = here[key]
            continue
        if not isinstance(here, Mapping) or key not in here:
            return False
        here = here[key]
    return True


def _read(path: Path) -> tuple[bytes, os.stat_result]:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1), os.fstat(file.fileno())
    except OSError as error:
        message = f"cannot be read: {error.strerror}; name the configuration file with --config"
        raise SettingsError([Problem(str(path), 0, 0, "", message)]) from error


def _finish(
    document: Document,
    base: Path,
    environ: Mapping[str, str],
    extra: dict[Loc, str],
    create: bool,
    needs_upstream: bool,
    serving: bool,
) -> Settings:
    override(document, environ)
    if needs_upstream:
        for loc in _without_address(document.data):
            extra[loc] = (
                "is missing: the address of the application to protect, such as http://127.0.0.1:3000"
            )
    for loc, message in extra.items():
        document.problems.setdefault(loc, locate(document, loc, message))
    settings = validate(document, base)
    late: dict[Loc, str] = file_problems(settings, serving=serving)
    mail = _mail(settings, late)
    microsoft, oidc = _providers(settings, late)
    password = _database_password(settings, late)
    session = _with_store_password(settings, late)
    found = _secrets(settings, late, create=create and not late)
    if late:
        raise SettingsError(locate(document, loc, message) for loc, message in late.items())
    return settings.model_copy(
        update={
            "secret": tuple(map(SecretStr, found)),
            "secret_file": (),
            "mail": mail,
            "microsoft": microsoft,
            "oidc": oidc,
            "database_password": password,
            "session": session,
            "database_password_file": None,
        }
    )


def _mail(settings: Settings, problems: dict[Loc, str]) -> MailSettings | None:
    if settings.mail is None:
        return None
    try:
        return with_password(settings.mail)
    except ValueError as error:
        problems["mail", "smtp", "password_file"] = str(error)
        return settings.mail


def _providers(
    settings: Settings, problems: dict[Loc, str]
) -> tuple[MicrosoftSettings | None, tuple[OidcSettings, ...]]:
    microsoft, oidc = settings.microsoft, list(settings.oidc)
    if microsoft is not None:
        try:
            microsoft = with_client_secret(microsoft)
        except ValueError as error:
            problems["microsoft", "client_secret_file"] = str(error)
    for index, provider in enumerate(oidc):
        try:
            oidc[index] = with_client_secret(provider)
        except ValueError as error:
            problems["oidc", index, "client_secret_file"] = str(error)
    return microsoft, tuple(oidc)


def _database_password(settings: Settings, problems: dict[Loc, str]) -> SecretStr | None:
    if settings.database_password_file is None:
        return settings.database_password
    try:
        return SecretStr(read_line(settings.database_password_file))
    except ValueError as error:
        problems["database_password_file",] = str(error)
        return None


def _with_store_password(settings: Settings, problems: dict[Loc, str]) -> SessionSettings:
    session = settings.session
    if session.store_password_file is None:
        return session
    try:
        password = SecretStr(read_line(session.store_password_file))
    except ValueError as error:
        problems["session", "store_password_file"] = str(error)
        return session
    return session.model_copy(update={"store_password": password, "store_password_file": None})


def _secrets(settings: Settings, problems: dict[Loc, str], *, create: bool) -> list[str]:
    found: list[str] = []
    for index, given in enumerate(settings.secret):
        if complaint := weakness(given.get_secret_value()):
            problems["secret", index] = complaint
        found.append(given.get_secret_value())
    for index, path in enumerate(settings.secret_file):
        try:
            found.append(read_secret_file(path))
        except ValueError as error:
            problems["secret_file", index] = str(error)
    if settings.shared and not settings.secret and not settings.secret_file:
        problems["secret",] = (
            "is missing: nodes that share accounts or sessions need the same one, in secret or secret_file; "
            "make one with `openssl rand -hex 32`"
        )
        return found
    if not settings.secret and not settings.secret_file and (create or present(settings.data_dir / "secret")):
        try:
            found.append(own_secret(settings.data_dir))
        except ValueError as error:
            problems["data_dir",] = str(error)
    return found
