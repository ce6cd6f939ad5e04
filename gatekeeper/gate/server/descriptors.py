"""File descriptors: as many as the system grants, and never so many connections that one is missing.

A process without descriptors cannot open its database or reach the application; so connections are capped
below the limit, and what comes beyond is told 503 while there are still descriptors to say it with. Should
accept() fail all the same, the event loop sheds: uvloop closes the waiting connection with a descriptor it
keeps in reserve, asyncio stops accepting for a second.
"""

from __future__ import annotations

import resource
from dataclasses import replace

from gatekeeper.gate.server.config import ServerLimits

_CEILING = 1_048_576
_OWN = 64
"""Logs, database, listening sockets, event loop."""
_LEAST = 16


def raise_descriptor_limit() -> int:
    """Raise the soft RLIMIT_NOFILE to the hard one; the limit now in force, at most 1,048,576."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CEILING if hard == resource.RLIM_INFINITY else min(hard, _CEILING)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _CEILING if soft == resource.RLIM_INFINITY else min(soft, _CEILING)


def fit_to_descriptors(limits: ServerLimits, descriptors: int, *, upstream: int) -> ServerLimits:
    """Lower `connections` so that `descriptors` suffice for them, `upstream` pooled connections, and us.

    A WebSocket needs two descriptors and counts twice (`Registry.load`), so it needs nothing here. Raises
    ValueError when hardly any connection would be left.
    """
    room = descriptors - _OWN - upstream
    shed = min(limits.shed, max(4, room // 8))
    connections = min(limits.connections, room - shed)
    if connections < _LEAST:
        raise ValueError(f"{descriptors} file descriptors are too few: raise the limit (ulimit -n)")
    return replace(limits, connections=connections, shed=shed)
