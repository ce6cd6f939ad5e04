"""Alembic migrations, applied when a database is opened. The way back is the backup made before."""
