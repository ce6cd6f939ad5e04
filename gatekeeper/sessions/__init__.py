"""Sessions: the signed cookie, the store, the process's cache and how it hears of revocations."""
