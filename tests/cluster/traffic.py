"""People who keep using the application while things break, and what each of them saw."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.cluster.cluster import Cluster


class Seen(NamedTuple):
    """One answer. Status 0: the connection broke."""

    at: float
    login: str
    status: int
    user: str
    """Whom the application was told; "" when it was not asked."""
    seconds: float
    told: bool = False
    """Whether the answer has a Retry-After."""


class Shortage(NamedTuple):
    """What people felt of a fault."""

    answers: int
    """That were no pages."""
    statuses: frozenset[int]
    untold: int
    """Of those, without Retry-After."""
    lasted: float
    """Seconds from the fault until the end of the last of them."""
    longest: float
    """Seconds that one answer took."""


@dataclass
class Traffic:
    seen: list[Seen] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def failures(self, *, besides: tuple[int, ...] = ()) -> list[Seen]:
        return [one for one in self.seen if one.status != 200 and one.status not in besides]

    def strangers(self) -> list[Seen]:
        """Answers that were made for somebody else."""
        return [one for one in self.seen if one.user not in ("", one.login)]

    def between(self, begin: float, end: float) -> list[Seen]:
        return [one for one in self.seen if begin <= one.at < end]

    def shortage(self, began: float) -> Shortage:
        """What went wrong from `began` on, measured from there."""
        bad = [one for one in self.failures() if one.at >= began]
        last = max((one.at + one.seconds for one in bad), default=began)
        return Shortage(
            len(bad),
            frozenset(one.status for one in bad),
            sum(not one.told for one in bad),
            last - began,
            max((one.seconds for one in self.seen if one.at >= began - 1.0), default=0.0),
        )

    def run(self, cluster: Cluster, login: str, cookie: str, pause: float) -> None:
        headers = {"Cookie": cookie, "Sec-Fetch-Mode": "cors"}
        client = http.client.HTTPConnection("127.0.0.1", cluster.port, timeout=15)
        while not self._stop.wait(pause):
            began, status, user, told = time.monotonic(), 0, "", False
            try:
                client.request("GET", "/page", headers=headers)
                answer = client.getresponse()
                body = answer.read()
                status, told = answer.status, answer.getheader("retry-after") is not None
                if status == 200:
                    user = json.loads(body)["user"]
            except (OSError, http.client.HTTPException):
                client.close()
            self.seen.append(Seen(began, login, status, user, time.monotonic() - began, told))
        client.close()

    def stop(self) -> None:
        self._stop.set()


@contextlib.contextmanager
def traffic(cluster: Cluster, cookies: dict[str, str], *, pause: float = 0.02) -> Iterator[Traffic]:
    """Each person asks for a page, again and again, while the block runs."""
    made = Traffic()
    threads = [
        threading.Thread(target=made.run, args=(cluster, login, cookie, pause), daemon=True)
        for login, cookie in cookies.items()
    ]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made.stop()
        for thread in threads:
            thread.join(20)


def until(what: str, condition: object, seconds: float) -> float:
    """Wait until `condition()` is true; how long it took."""
    began = time.monotonic()
    assert callable(condition)
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began
