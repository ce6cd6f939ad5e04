"""The boundary where errors of SQLite, PostgreSQL and SQLAlchemy become ours."""

from __future__ import annotations

import sqlite3

import psycopg
import sqlalchemy.exc

from gatekeeper.core.errors import StoreUnavailable


class DatabaseUnusable(StoreUnavailable):
    """The database cannot be opened at all: said once, at start, in words for the operator.

    `reason` is one of "database_url", "database_folder", "database_full", "database_foreign",
    "database_newer", "database_locked", "database_broken", "database_unreachable", "database_denied",
    "database_empty".
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

_STATES = {  # https://www.postgresql.org/docs/current/errcodes-appendix.html
    "25006": ("database_denied", "the server is a copy that cannot be written"),
    "28P01": ("database_denied", "the server refuses the user or the password"),
    "28000": ("database_denied", "the server does not let this user in"),
    "3D000": ("database_denied", "the server has no database of this name"),
    "42501": ("database_denied", "the user may not do this: the database must belong to it"),
    "40P01": ("database_locked", "transactions waited for each other, and this one gave way"),
    "40001": ("database_locked", "a transaction beside this one was faster"),
    "53100": ("database_full", "the disk of the server is full"),
    "53300": ("database_unreachable", "the server has no connection left (max_connections)"),
    "55P03": ("database_locked", "somebody else held a row for too long"),
    "57014": ("database_locked", "the server did not finish a statement in time"),
    "57P01": ("database_unreachable", "the server is being stopped"),
    "57P03": ("database_unreachable", "the server is starting or stopping"),
}


def _meaning(error: BaseException) -> tuple[str, str]:
    """Reason code and words for the operator; never statement parameters, which may hold secrets."""
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig else error
    name = getattr(original, "sqlite_errorname", None) or ""
    # Extended codes carry the primary one as their beginning: SQLITE_IOERR_WRITE, SQLITE_BUSY_SNAPSHOT.
    for known, meaning in _MEANING.items():
        if name == known or name.startswith(known + "_"):
            return meaning
    if isinstance(original, psycopg.Error):
        return _meaning_of_state(original)
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return "database_locked", "no connection to the database became free in time"
    return "database_broken", f"{type(original).__name__}: {original}"


def _meaning_of_state(error: psycopg.Error) -> tuple[str, str]:
    text = str(error)
    for state, meaning in _STATES.items():
        # While connecting psycopg has no state, only the server's words.
        if error.sqlstate == state or (error.sqlstate is None and _WORDS.get(state, "\0") in text):
            return meaning
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        # Says host, port and cause; never a password, never a statement's values.
        return "database_unreachable", f"the server cannot be reached: {' '.join(text.split())[:300]}"
    # The server quotes values in its words about data.
    return "database_broken", f"{type(error).__name__} ({error.sqlstate})"


_WORDS = {
    "28P01": "password authentication failed",
    "28000": "no pg_hba.conf entry",
    "3D000": "does not exist",
    "53300": "too many clients",
    "57P03": "the database system is",
}

FOREIGN = (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, psycopg.Error)
"""What SQLAlchemy and the drivers raise; IntegrityError among them gets special treatment in `translate`."""


def translate(error: Exception) -> Exception:
    """The error to raise in place of a foreign one.

    A violated constraint is an answer, not an outage: it is handed through for the caller to read.
    """
    if isinstance(error, (sqlalchemy.exc.IntegrityError, sqlite3.IntegrityError, psycopg.IntegrityError)):
        return error
    return StoreUnavailable(_meaning(error)[1])


def unusable(error: Exception, path: object) -> DatabaseUnusable:
    """The same at start, with the file's name and a reason code of its own."""
    reason, words = _meaning(error)
    return DatabaseUnusable(f"database {path}: {words}", reason=reason)
