"""The boundary where errors of SQLite and SQLAlchemy become ours."""

from __future__ import annotations

import sqlite3

import sqlalchemy.exc

from gatekeeper.core.errors import StoreUnavailable


class DatabaseUnusable(StoreUnavailable):
    """The database cannot be opened at all: said once, at start, in words for the operator.

    `reason` is one of "database_url", "database_folder", "database_full", "database_foreign",
    "database_newer", "database_locked", "database_broken".
    """

    reason = "database_broken"


_MEANING = {
    "SQLITE_FULL": ("database_full", "the disk that holds the database is full"),
    "SQLITE_BUSY": ("database_locked", "another process holds the database"),
    "SQLITE_LOCKED": ("database_locked", "another connection holds the database"),
    "SQLITE_READONLY": ("database_folder", "the database file or its folder cannot be written"),
    "SQLITE_CANTOPEN": ("database_folder", "the database file or its folder cannot be opened"),
    "SQLITE_PERM": ("database_folder", "the database file may not be accessed"),
    "SQLITE_NOTADB": ("database_foreign", "the file is not an SQLite database"),
    "SQLITE_CORRUPT": ("database_broken", "the database file is damaged: restore a backup"),
    "SQLITE_IOERR": ("database_broken", "the disk that holds the database reports an error"),
}


def _meaning(error: BaseException) -> tuple[str, str]:
    """Reason code and words for the operator; never statement parameters, which may hold secrets."""
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig else error
    name = getattr(original, "sqlite_errorname", None) or ""
    # Extended codes carry the primary one as their beginning: SQLITE_IOERR_WRITE, SQLITE_BUSY_SNAPSHOT.
    for known, meaning in _MEANING.items():
        if name == known or name.startswith(known + "_"):
            return meaning
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return "database_locked", "no connection to the database became free in time"
    return "database_broken", f"{type(original).__name__}: {original}"


FOREIGN = (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error)
"""What SQLAlchemy and SQLite raise; IntegrityError among them gets special treatment in `translate`."""


def translate(error: Exception) -> Exception:
    """The error to raise in place of a foreign one.

    A violated constraint is an answer, not an outage: it is handed through for the caller to read.
    """
    if isinstance(error, (sqlalchemy.exc.IntegrityError, sqlite3.IntegrityError)):
        return error
    return StoreUnavailable(_meaning(error)[1])


def unusable(error: Exception, path: object) -> DatabaseUnusable:
    """The same at start, with the file's name and a reason code of its own."""
    reason, words = _meaning(error)
    return DatabaseUnusable(f"database {path}: {words}", reason=reason)
