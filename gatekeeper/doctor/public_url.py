"""Does `public_url` lead here, and does what proxies must hand on arrive? Asked as browsers ask.

Whoever answers must hold the installation's secret (`core.probe`): another server at that address cannot.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator

from gatekeeper.core import probe
from gatekeeper.core.clock import Clock
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.doctor.certificate import judge_certificate
from gatekeeper.doctor.http import HttpAnswer, NoAnswer, ask
from gatekeeper.doctor.protocol import Finding, fail, ok, warn
from gatekeeper.upstream.origin import Origin

_ADVICE = {
    "unreachable": "is `gatekeeper serve` running, is there a DNS entry, does the proxy pass it on?",
    "timeout": "a firewall, or a router that does not lead its own network to itself",
    "tls": "the certificate must be for this name, whole (fullchain), from an authority that browsers know; "
    "for a private one, run doctor with SSL_CERT_FILE",
    "not_http": "something else listens at that address",
}


class PublicUrlCheck:
    """`box` seals for `probe.PURPOSE`; None when there is no secret yet."""

    name = "public_url"

    def __init__(
        self,
        url: str,
        prefix: str,
        box: SecretBox | None,
        *,
        clock: Clock,
        proxied: bool,
        version: str,
        timeout: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`proxied`: something else ends TLS, so it is that which must send Strict-Transport-Security."""
        self._url = url
        self._origin = Origin.parse(url)
        self._target = prefix + probe.PATH
        self._box = box
        self._clock = clock
        self._proxied = proxied
        self._version = version
        self._timeout = timeout
        self._ssl = ssl_context

    async def run(self) -> list[Finding]:
        if self._box is None:
            return [
                warn("cannot be asked: there is no secret yet", "start `gatekeeper serve`, then run doctor")
            ]
        nonce = secrets.token_hex(16)
        try:
            answer = await ask(
                self._origin,
                f"{self._target}?{probe.question(self._box, nonce, self._clock())}",
                host=self._origin.authority,
                timeout=self._timeout,
                ssl_context=self._ssl,
            )
        except NoAnswer as error:
            return [fail(f"{self._url}: {error}", _ADVICE[error.reason])]
        seen = probe.read_answer(self._box, answer.body, nonce) if answer.status == 200 else None
        if seen is None:
            return [
                fail(
                    f"{self._url} is answered (status {answer.status}), but not by this Gatekeeper",
                    f"the proxy must pass {self._target} to it as everything else; "
                    "the same `secret` everywhere; clocks less than a minute apart",
                )
            ]
        return [*self._judge(answer, seen)]

    def _judge(self, answer: HttpAnswer, seen: probe.Seen) -> Iterator[Finding]:
        yield ok(f"{self._url} leads to this Gatekeeper")
        if seen.version != self._version:
            yield warn(
                f"version {seen.version} answers, and this is {self._version}", "restart `gatekeeper serve`"
            )
        if not seen.host:
            yield fail(
                "the Host header arrives as another one: every page is answered 421",
                "let the proxy hand on the browser's Host (nginx: proxy_set_header Host $host), or list the "
                "proxy in trusted_proxies and let it send X-Forwarded-Host",
            )
        yield from self._judge_client(answer, seen)
        if not self._origin.tls:
            return
        yield from judge_certificate(answer.certificate_ends, self._clock(), whose="the public")
        if self._proxied and "strict-transport-security" not in answer.headers:
            yield warn(
                "answers come without Strict-Transport-Security",
                "let the proxy add it (`max-age=31536000`): without it a first visit by http can be caught",
            )

    def _judge_client(self, answer: HttpAnswer, seen: probe.Seen) -> Iterator[Finding]:
        peer = seen.peer or "unix"
        if seen.forwarded and not seen.trusted:
            yield fail(
                f"a proxy at {peer} says who asks, and is not believed: all people count as one client",
                f"add it to trusted_proxies: [{peer}]",
            )
        elif seen.trusted and not seen.forwarded and seen.peer != answer.local_address:
            yield fail(
                f"the trusted proxy at {peer} does not say for whom it asks: all people count as one client",
                "let it send X-Forwarded-For (nginx: proxy_set_header X-Forwarded-For $remote_addr)",
            )
        else:
            yield ok(f"clients' addresses arrive (this one as {seen.client or 'unix'})")
