"""The gate around an application that answers nothing: what a decision costs, server included."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from gatekeeper.build import Gatekeeper
from gatekeeper.cli.serve import run_server
from gatekeeper.settings import load_settings


async def empty(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    sys.exit(run_server(Gatekeeper(empty, load_settings(Path(sys.argv[1]), os.environ))))
