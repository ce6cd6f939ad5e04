"""Telling systemd how far we are: sd_notify(3) in a few lines."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

READY = "READY=1"
RELOADING = "RELOADING=1"
STOPPING = "STOPPING=1"

log = structlog.get_logger("gatekeeper")


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send `state` to the service manager that started us; nothing where there is none.

    A manager that cannot be told is logged: with Type=notify it stops us, and the reason must be found.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # a name in Linux's abstract name space
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(address)
            sender.sendall(state.encode("ascii"))
    except OSError as error:
        log.warning("the service manager cannot be told", state=state, error=str(error))
