"""Where secrets come from: the file, files of their own, or made here once and kept in `data_dir`."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

LEAST_CHARACTERS = 32
_LEAST_DISTINCT = 10
_EXAMPLES = ("changeme", "change-me", "change_me", "example", "secretsecret", "password")
_MAX_BYTES = 4096
_MAX_LINE_BYTES = 1024


def weakness(secret: str) -> str | None:
    """Why `secret` could be guessed, or None. Never repeats it. ASVS 5.0 V11.5.1 asks for 128 bits."""
    if len(secret) < LEAST_CHARACTERS:
        return f"is too weak: {len(secret)} characters, at least {LEAST_CHARACTERS} random ones are needed"
    if len(set(secret)) < _LEAST_DISTINCT or any(word in secret.lower() for word in _EXAMPLES):
        return "is too weak: it is not random; make one with `openssl rand -hex 32`"
    return None


def read_secret_file(path: Path) -> str:
    """The one line in `path`. `ValueError` (never with the content) when it is weak or open to others."""
    raw = read_private(path, _MAX_BYTES + 1)
    try:
        text = raw.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: write the secret as hex or base64") from None
    if len(raw) > _MAX_BYTES or not text.isprintable():
        raise ValueError(f"{path} must hold one line of at most {_MAX_BYTES} bytes")
    if complaint := weakness(text):
        raise ValueError(f"{path} {complaint}")
    return text


def read_line(path: Path) -> str:
    """The one line in `path`, a password that somebody else chose. `ValueError` (never with the content)."""
    raw = read_private(path, _MAX_LINE_BYTES + 1)
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    if not text or len(raw) > _MAX_LINE_BYTES or not text.isprintable():
        raise ValueError(f"{path} must hold one line of at most {_MAX_LINE_BYTES} bytes")
    return text


def read_private(path: Path, most: int) -> bytes:
    """The first `most` bytes of a file that nobody else can read. `ValueError` (never with the content)."""
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
        return file.read(most)


def open_to_others(path: Path, status: os.stat_result) -> str | None:
    """Says so when the group or anybody may read or change the file."""
    if status.st_mode & 0o077:
        return (
            f"{path} can be read or changed by others (mode {status.st_mode & 0o777:03o}): chmod 600 {path}"
        )
    return None


def present(path: Path) -> bool:
    """Whether something of that name is seen. `Path.exists` raises where a folder above is closed to us."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def own_secret(data_dir: Path) -> str:
    """The secret in `data_dir`, made at the first start. Several processes starting at once get the same.

    Written whole under another name first, then linked into place, which fails when somebody was faster:
    nobody ever reads half a secret. `ValueError` when that is not possible.
    """
    path = data_dir / "secret"
    if present(path):
        return read_secret_file(path)
    draft = data_dir / f".secret-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(descriptor)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path, follow_symlinks=False)
        finally:
            draft.unlink()
        _sync_folder(data_dir)
    except OSError as error:
        raise ValueError(f"{path} cannot be created: {error.strerror}") from error
    return read_secret_file(path)


def _sync_folder(folder: Path) -> None:
    """A secret that signs cookies must still be there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
