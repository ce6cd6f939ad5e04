"""Whether the files that a configuration names are there and of use, before anything starts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from gatekeeper.settings.applications import located
from gatekeeper.settings.authorization import read_authorization
from gatekeeper.settings.branding import BrandingSettings
from gatekeeper.settings.model import Settings
from gatekeeper.settings.problems import Loc
from gatekeeper.settings.providers import MicrosoftSettings
from gatekeeper.settings.secrets import open_to_others, present

PICTURE_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
MAX_LOGO_BYTES = 200_000
MAX_SLIDE_BYTES = 500_000


def file_problems(settings: Settings, *, serving: bool = True) -> dict[Loc, str]:
    """What is wrong with the files, by the key that names each.

    Whether the TLS key can be read and the folders written matters with `serving` alone.
    """
    problems: dict[Loc, str] = {}
    if serving and settings.tls is not None:
        _check_tls(settings.tls.cert_file, settings.tls.key_file, problems)
    for loc, application in located(settings.upstream):
        if application.ca_file is not None:
            _check_authority(application.ca_file, ("upstream", *loc, "ca_file"), problems)
        authorization = application.authorization
        if serving and not isinstance(authorization, str):
            for key, _, path in authorization.files:
                try:
                    read_authorization(path)
                except ValueError as error:
                    problems["upstream", *loc, "authorization", *key] = str(error)
    if (
        settings.mail is not None
        and settings.mail.smtp is not None
        and settings.mail.smtp.ca_file is not None
    ):
        _check_authority(settings.mail.smtp.ca_file, ("mail", "smtp", "ca_file"), problems)
    if settings.microsoft is not None:
        _check_microsoft(settings.microsoft, problems)
    for index, provider in enumerate(settings.oidc):
        if provider.ca_file is not None:
            _check_authority(provider.ca_file, ("oidc", index, "ca_file"), problems)
    brandings: list[tuple[Loc, BrandingSettings]] = [(("branding",), settings.branding)]
    brandings += [
        (("upstream", *loc, "branding"), application.branding)
        for loc, application in located(settings.upstream)
    ]
    for place, branding in brandings:
        if branding.logo_file is not None and (
            complaint := _bad_picture(branding.logo_file, MAX_LOGO_BYTES, "every sign-in page carries it")
        ):
            problems[*place, "logo_file"] = complaint
    for number, slide in enumerate(settings.welcome):
        if slide.image is not None and (
            complaint := _bad_picture(slide.image, MAX_SLIDE_BYTES, "people wait for it")
        ):
            problems["welcome", number, "image"] = complaint
    if settings.templates_dir is not None and (complaint := _no_folder(settings.templates_dir)):
        problems["templates_dir",] = complaint
    if settings.mail is not None and settings.mail.to_directory is not None:
        folder = settings.mail.to_directory
        if complaint := _no_place(folder, serving):
            problems["mail", "to_directory"] = complaint
    if complaint := _no_place(settings.data_dir, serving):
        problems["data_dir",] = complaint
    return problems


def _no_folder(path: Path) -> str | None:
    try:
        with os.scandir(path):
            return None
    except OSError as error:
        return f"{path} cannot be used as a folder: {error.strerror}"


def _no_place(path: Path, writes: bool) -> str | None:
    """Why `path` is no folder and, with `writes`, cannot become one or be written into."""
    if present(path) and (complaint := _no_folder(path)):
        return complaint
    if not writes:
        return None
    nearest = next((folder for folder in (path, *path.parents) if present(folder)), path)
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
        return None
    if nearest == path:
        return f"{path} cannot be written by user id {os.geteuid()}"
    why = f"cannot be written by user id {os.geteuid()}" if nearest.is_dir() else "is no folder"
    return f"{path} cannot be created: {nearest} {why}"


def _unreadable(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None


def _check_microsoft(microsoft: MicrosoftSettings, problems: dict[Loc, str]) -> None:
    if microsoft.ca_file is not None:
        _check_authority(microsoft.ca_file, ("microsoft", "ca_file"), problems)
    pair = microsoft.certificate
    if pair is None:
        return
    for key, complaint in _bad_pair(pair.cert_file, pair.key_file).items():
        problems["microsoft", "certificate", key] = complaint


def _bad_pair(cert_file: Path, key_file: Path) -> dict[str, str]:
    """What is wrong with a certificate and its private key, by the key that names each."""
    pair = {"cert_file": cert_file, "key_file": key_file}
    found = {key: complaint for key, path in pair.items() if (complaint := _unreadable(path))}
    if found:
        return found
    if complaint := open_to_others(key_file, key_file.stat()):
        return {"key_file": complaint}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # The callback keeps OpenSSL from asking on the terminal.
        context.load_cert_chain(cert_file, key_file, password=lambda: "")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        return {"cert_file": f"certificate and key cannot be used: {reason}"}
    return {}


def _check_tls(cert_file: Path, key_file: Path, problems: dict[Loc, str]) -> None:
    for key, complaint in _bad_pair(cert_file, key_file).items():
        problems["tls", key] = complaint


def _check_authority(ca_file: Path, loc: Loc, problems: dict[Loc, str]) -> None:
    if complaint := _unreadable(ca_file):
        problems[loc] = complaint
        return
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        problems[loc] = f"{ca_file} has no usable certificate: {reason}"


def _bad_picture(path: Path, most: int, why: str) -> str | None:
    if complaint := _unreadable(path):
        return complaint
    if path.suffix.lower() not in PICTURE_TYPES:
        return f"must end in {', '.join(PICTURE_TYPES)}"
    if path.stat().st_size > most:
        return f"{path} is larger than {most // 1000} KB; {why}"
    return None
