"""Errors that cross a boundary: they carry what the caller needs, never a text to be matched."""


class GatekeeperError(Exception):
    """Base of every error that Gatekeeper raises on purpose.

    `reason` is a stable code for logs and tests; `str(error)` is for the operator, never for the person
    at the sign-in page, and never holds a secret.
    """

    reason: str = "error"

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail or reason or self.reason)
        if reason is not None:
            self.reason = reason


class Undecidable(GatekeeperError):
    """The decision could not be made (a store is down, a record is bad): answered 503, never passed.

    `retry_after` is in seconds.
    """

    reason = "undecidable"

    def __init__(self, detail: str = "", *, reason: str | None = None, retry_after: int = 1) -> None:
        super().__init__(detail, reason=reason)
        self.retry_after = retry_after


class StoreUnavailable(Undecidable):
    """A database or session store did not answer."""

    reason = "store_unavailable"


class Overloaded(Undecidable):
    """A bounded queue is full (password hashing, upstream connections)."""

    reason = "overloaded"


class RateLimited(GatekeeperError):
    """Too many attempts of one kind from one client, for one account or in all: answered 429.

    `retry_after` is in seconds (RFC 6585 section 4). Says nothing about the account.
    """

    reason = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many attempts")
        self.retry_after = retry_after


class UpstreamFailure(GatekeeperError):
    """The application could not be asked, or broke off before its answer began.

    `status` is what the client is told: 502 (unreachable, invalid answer), 503 (no connection free in
    time), 504 (did not answer in time). RFC 9110 sections 15.6.3 to 15.6.5.
    """

    reason = "upstream_failure"

    def __init__(self, status: int, reason: str, detail: str = "") -> None:
        super().__init__(detail, reason=reason)
        self.status = status


class RequestRejected(GatekeeperError):
    """What the client sent is refused before any rule: bad framing, bad target, too large.

    `status` is what the client is told (400, 408, 413, 414, 417, 421, 431, 501, 505).
    """

    reason = "bad_request"

    def __init__(self, status: int, reason: str, detail: str = "") -> None:
        super().__init__(detail, reason=reason)
        self.status = status
