"""The composition root's part about the database: settings → the database, not yet open."""

from __future__ import annotations

from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database


def make_database(settings: Settings) -> Database:
    """The configured database. Raises DatabaseUnusable for an address that cannot work."""
    password = settings.database_password
    return Database(
        settings.database,
        data_dir=settings.data_dir,
        password=password.get_secret_value() if password is not None else "",
    )
