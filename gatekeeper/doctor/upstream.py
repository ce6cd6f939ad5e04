"""Does the application answer where the configuration says it is?"""

from __future__ import annotations

import ssl

from gatekeeper.core.clock import Clock
from gatekeeper.doctor.certificate import judge_certificate
from gatekeeper.doctor.http import NoAnswer, ask
from gatekeeper.doctor.protocol import Finding, fail, ok, warn
from gatekeeper.upstream.origin import Origin

_ADVICE = {
    "unreachable": "is the application running, and is upstream.url its address?",
    "timeout": "a firewall between here and there, or an application that hangs",
    "tls": "the certificate must be for the host in upstream.url, from a known authority or upstream.ca_file",
    "not_http": "does upstream.url name the right port, and http or https as that port speaks?",
}


class UpstreamCheck:
    """Asks for `/` as somebody who is not signed in: what the application answers is its own affair."""

    def __init__(
        self,
        origin: Origin,
        *,
        host: str,
        timeout: float,
        clock: Clock,
        ssl_context: ssl.SSLContext | None = None,
        name: str = "upstream",
    ) -> None:
        self.name = name
        self._origin = origin
        self._host = host
        self._timeout = timeout
        self._clock = clock
        self._ssl = ssl_context

    async def run(self) -> list[Finding]:
        try:
            answer = await ask(
                self._origin, "/", host=self._host, timeout=self._timeout, ssl_context=self._ssl
            )
        except NoAnswer as error:
            return [fail(f"{self._origin}: {error}", _ADVICE[error.reason])]
        text = f"{self._origin} answers (status {answer.status} for /)"
        whose = "the application's"
        found = list(judge_certificate(answer.certificate_ends, self._clock(), whose=whose))
        if answer.status >= 500:
            return [warn(text, "the application is there and in trouble: see its own log"), *found]
        return [ok(text), *found]
