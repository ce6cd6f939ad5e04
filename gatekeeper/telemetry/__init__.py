"""Logs and health: what an operator sees, never a secret."""
