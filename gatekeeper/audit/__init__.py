"""The audit log: every security event one row and one JSON line."""
