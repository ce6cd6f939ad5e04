"""The endpoint that tells `gatekeeper doctor`, and nobody else, how its request arrived here."""

from __future__ import annotations

from collections.abc import Mapping

from gatekeeper.core import probe
from gatekeeper.core.clock import Clock
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.gate.config import GateConfig
from gatekeeper.gate.facts import read_facts

_HEADERS = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]


class Probe:
    """A plain ASGI application for `Gate.own`: whatever is not our own question is not found."""

    def __init__(self, config: GateConfig, box: SecretBox, clock: Clock, version: str) -> None:
        self._config = config
        self._box = box
        self._clock = clock
        self._version = version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        now = self._clock()
        nonce = probe.read_question(self._box, scope["query_string"], now)
        if nonce is None:
            status, body = 404, b"not found\n"
        else:
            status, body = 200, probe.answer(self._box, self._seen(scope, nonce, now))
        headers = [*_HEADERS, (b"content-length", str(len(body)).encode("ascii"))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _seen(self, scope: Scope, nonce: str, now: float) -> probe.Seen:
        peer = scope["client"][0] if scope.get("client") else ""
        host, client = "", peer
        plain: Mapping[str, object] = {**scope, "query_string": b""}
        try:
            facts, _, _ = read_facts(dict(plain), self._config)
            host, client = facts.host, facts.client
        except RequestRejected:
            pass  # the empty host says so
        return probe.Seen(
            nonce=nonce,
            host=host,
            peer=peer,
            client=client,
            trusted=self._config.proxies.trusts(peer),
            forwarded=any(name == b"x-forwarded-for" for name, _ in scope["headers"]),
            now=now,
            version=self._version,
        )
