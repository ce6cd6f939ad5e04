"""A person at a browser without JavaScript, over HTTP; everything that went over the wire is kept."""

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol
from urllib.parse import urlsplit

import httpx

_HIDDEN = re.compile(r'<input type="hidden" name="(csrf|token|next)" value="([^"]*)"')


class Somewhere(Protocol):
    """An installation, such as a `Place`."""

    @property
    def address(self) -> str: ...


class Client:
    """One browser: its cookies, and the answers that it got."""

    def __init__(self, place: Somewhere) -> None:
        self._place = place
        self.answers: list[httpx.Response] = []
        self.http = httpx.Client(
            base_url=place.address,
            headers={"accept": "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
            event_hooks={"response": [self._keep]},
            limits=httpx.Limits(max_connections=50),
            timeout=60,
            trust_env=False,
        )

    def _keep(self, response: httpx.Response) -> None:
        response.read()
        self.answers.append(response)

    def get(self, address: str, **headers: str) -> httpx.Response:
        return self.http.get(address, headers=headers)

    def form(self, address: str) -> dict[str, str]:
        """The hidden fields of the page's first form."""
        page = self.get(address)
        assert page.status_code == 200, (address, page.status_code)
        first = page.text[page.text.index('method="post"') :]
        found: dict[str, str] = {}
        for name, value in _HIDDEN.findall(first):
            found.setdefault(name, html.unescape(value))
        return found

    def post(self, address: str, fields: dict[str, str]) -> httpx.Response:
        headers = {"origin": self._place.address, "sec-fetch-site": "same-origin"}
        return self.http.post(urlsplit(address).path, data=fields, headers=headers)

    def send(self, address: str, **fields: str) -> httpx.Response:
        """Open the page and send its form."""
        return self.post(address, {**self.form(address), **fields})

    def send_at_once(self, times: int, address: str, **fields: str) -> list[httpx.Response]:
        """Open the page once and send its form so many times in parallel."""
        known = {**self.form(address), **fields}
        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(lambda _: self.post(address, known), range(times)))

    def sign_in(self, login: str, password: str) -> httpx.Response:
        return self.send("/_gate/login", login=login, password=password)

    def signed_in(self) -> bool:
        """Whether the application lets this browser in."""
        return self.get("/").status_code == 200

    def close(self) -> None:
        self.http.close()
