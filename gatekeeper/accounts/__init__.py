"""Use cases of accounts, without HTTP: sign in, users, passwords, the one-time administrator link."""
