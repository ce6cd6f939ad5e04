"""This suite runs on SQLite; what is marked, and with `--all` everything, on PostgreSQL as well."""

from tests.servers.databases import *  # noqa: F403
