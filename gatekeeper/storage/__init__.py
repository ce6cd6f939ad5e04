"""Tables, engine and migrations; SQLite first, the same tables on PostgreSQL."""
