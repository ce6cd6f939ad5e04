"""The metrics listener of a real installation with two processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket

from tests.serving.support import Installation, get
from tests.stack.conftest import free_port
from tests.stack.process import sign_in

LABELS = {"outcome", "le", "reason", "kind", "method", "result", "source", "state", "version", "python"}


def total(text: str, sample: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(sample))


def test_metrics_of_all_processes_tell_what_happened_and_of_nobody(made: Installation) -> None:
    port = free_port()
    made.write(f"processes: 2\nmetrics: {{listen: '127.0.0.1:{port}'}}\n")

    def scrape() -> str:
        return get(port, "/metrics")[1].decode()

    with made.serving():
        cookie = sign_in(made.port)
        for _ in range(20):
            assert get(made.port, "/very-private-path", cookie) == (200, b"ada")
        with socket.create_connection(("127.0.0.1", made.port), 5) as rude:
            rude.sendall(b"nonsense\r\n\r\n")
            rude.recv(1000)
        text = scrape()
        allowed = 'gatekeeper_request_seconds_count{outcome="allow"}'
        assert total(text, allowed) == 20
        assert total(text, 'gatekeeper_sign_ins_total{method="password",result="succeeded"}') == 1
        assert total(text, "gatekeeper_refused_total") == 1
        assert total(text, "gatekeeper_session_lookups_total") == 20
        assert set(re.findall(r'([a-z]+)="', text)) <= LABELS
        for secret in ("ada", "very-private", "127.0.0.1", cookie.partition("=")[2]):
            assert secret not in text
        made.wait(lambda: json.loads(get(port, "/readyz")[1]) == {"ready": True, "missing": []})
        assert get(port, "/healthz")[0] == 200 and get(port, "/other")[0] == 404
        assert get(made.port, "/metrics")[0] in (303, 401)  # on the public side it is the application's path

        os.kill(made.workers()[1], signal.SIGKILL)
        made.wait(lambda: total(scrape(), "gatekeeper_workers_died_total") == 1)
        assert total(scrape(), allowed) == 20
        assert made.run("reload").returncode == 0
        assert total(scrape(), allowed) >= 20
        assert total(scrape(), "gatekeeper_reloads_total") == 1
