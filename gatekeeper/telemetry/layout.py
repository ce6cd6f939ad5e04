"""Which cell of a board is what. Every label value is in a list here: no name or path can become one."""

from __future__ import annotations

from gatekeeper.audit.events import EventKind

OUTCOMES = (
    "allow",
    "sign_in",
    "step_up",
    "forbidden",
    "own_page",
    "refused",
    "unavailable",
    "upstream_error",
    "error",
)
"""How requests ended, as `gatekeeper_request_seconds` has them."""

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the histogram's buckets, seconds."""
BUCKETS = len(BOUNDS) + 1
WIDTH = BUCKETS + 1
"""Cells of one outcome: the buckets, and the sum in microseconds."""

REFUSALS = tuple(
    """
    body_timeout body_too_large chunk_end chunk_extension chunk_size conflicting_framing connection_option
    content_length_and_transfer_encoding content_length_invalid content_length_repeated duplicate_field
    duplicate_host expectation foreign_host head_timeout head_too_large header_line header_name
    host_contradicts_target host_invalid host_missing host_repeated http_version internal_error method
    method_not_supported path_bytes path_form query_bytes request_line_too_long response_not_taken
    too_many_connections too_many_connections_of_client too_many_fields too_many_headers trailer
    trailers_too_large transfer_coding transfer_encoding_invalid transfer_encoding_repeated
    websocket_handshake websocket_key websocket_protocol websocket_version other
    """.split()
)
UPSTREAM_ERRORS = tuple(
    """
    upstream_busy upstream_closed upstream_connect_timeout upstream_head_too_large upstream_idle_timeout
    upstream_invalid upstream_timeout upstream_tls upstream_unreachable other
    """.split()
)
EVENTS = (*(kind.value for kind in EventKind), "other")
METHODS = ("password", "totp", "recovery_code", "passkey", "provider", "other")
RESULTS = ("succeeded", "failed")

_at = 0


def _place(cells: int) -> int:
    global _at
    start = _at
    _at += cells
    return start


REQUESTS = _place(len(OUTCOMES) * WIDTH)
LOOKUPS = _place(1)
LOADS = _place(1)
REFUSED = _place(len(REFUSALS))
FAILED_UPSTREAM = _place(len(UPSTREAM_ERRORS))
HAPPENED = _place(len(EVENTS))
SIGN_INS = _place(len(METHODS) * len(RESULTS))
STORE_ERRORS = _place(1)
INTERNAL_ERRORS = _place(1)
RELOADS = _place(1)
RELOADS_FAILED = _place(1)
WORKERS_DIED = _place(1)
COUNTERS = _at
"""Cells up to here only grow, and outlive the process that wrote them. The others say how things are."""
ALIVE = _place(1)
"""When the process last wrote, in milliseconds of the monotonic clock; 0: never."""
MISSING = _place(1)
"""Bits: what is missing for it to serve."""
WEBSOCKETS = _place(1)
POOL_OPEN = _place(1)
POOL_IDLE = _place(1)
POOL_WAITING = _place(1)
LAG = _place(1)
"""Microseconds that the event loop was late, the worst of the last second."""
ASKED_AT = _place(1)
"""When the following were asked of the stores, as ALIVE."""
SESSIONS = _place(1)
OUTBOX = _place(1)
OUTBOX_AGE = _place(1)
"""Seconds that the oldest waiting mail has waited."""
CELLS = _at

PARTS = ("sessions", "database")
"""What MISSING has a bit for, from the lowest on."""
