"""Gatekeeper is told an issuer, a client id and a secret; the rest is between it and the provider."""

from __future__ import annotations

import contextlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving
from tests.stack.whole import Whole, whole

SECRET = "a secret & more: of~this/test"
_SCRIPT = Path(__file__).with_name("provider.mjs")


def _line(stream: IO[str] | None) -> dict[str, Any]:
    assert stream is not None
    answer = stream.readline()
    assert answer, "the provider did not start"
    found: dict[str, Any] = json.loads(answer)
    return found


class Certified:
    """The provider in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer = f"http://127.0.0.1:{_line(process.stdout)['port']}"

    def register(self, gate: Whole) -> None:
        """What its operator does once."""
        place = f"http://{gate.host}/_gate"
        addresses = {
            "redirect_uri": f"{place}/sso/certified/callback",
            "post_logout_redirect_uri": f"{place}/signed-out",
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(addresses) + "\n")
        self._process.stdin.flush()
        assert _line(self._process.stdout) == {"ready": True}


@pytest.fixture
def certified() -> Iterator[Certified]:
    node = shutil.which("node")
    assert node is not None, "node is missing"
    process = subprocess.Popen(
        [node, str(_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Certified(process)
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.wait(10)


@contextlib.contextmanager
def gate_before(folder: Path, certified: Certified, **more: Any) -> Iterator[Whole]:
    """Gatekeeper that was told nothing but the issuer and a client."""
    provider = {
        "name": "certified",
        "issuer": certified.issuer,
        "client_id": "gatekeeper",
        "client_secret": SECRET,
        **more,
    }
    with serving(make_sample()) as port, whole(folder, f"http://127.0.0.1:{port}", oidc=[provider]) as gate:
        certified.register(gate)
        yield gate


class Browser:
    """Follows redirects, keeps cookies, sends the form of the page that it is at."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.page: httpx.Response

    def go(self, address: str) -> httpx.Response:
        self.page = self.http.get(address, headers={"accept": "text/html"})
        return self.page

    def send(self, **fields: str) -> httpx.Response:
        form = re.search(r"<form[^>]*action=\"([^\"]*)\"[^>]*>(.*?)</form>", self.page.text, re.DOTALL)
        assert form is not None, self.page.text
        hidden = re.findall(r"<input type=\"hidden\" name=\"([^\"]*)\" value=\"([^\"]*)\"", form[2])
        address = urljoin(str(self.page.url), html.unescape(form[1]))
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
        self.page = self.http.post(
            address, data={**dict(hidden), **fields}, headers={"origin": origin, "accept": "text/html"}
        )
        return self.page

    def sign_in_there(self, login: str) -> httpx.Response:
        """The provider's own pages: who is it, and may the application know."""
        self.send(login=login, password="any")
        return self.send()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with httpx.Client(follow_redirects=True, trust_env=False) as http:
        yield Browser(http)


async def add_kim(services: Services) -> None:
    await services.users.add("kim@example.com", name="Kim Example", by=Source("test"))


def test_an_issuer_alone_is_enough(tmp_path: Path, certified: Certified, browser: Browser) -> None:
    with gate_before(tmp_path, certified) as gate:
        gate.call(add_kim)
        browser.go(f"http://{gate.host}/orders?q=lamp")
        assert "Sign in with certified" in browser.page.text
        browser.go(f"http://{gate.host}/_gate/sso/certified?next=/orders%3Fq%3Dlamp")
        assert str(browser.page.url).startswith(certified.issuer)
        browser.sign_in_there("kim")
        assert str(browser.page.url) == f"http://{gate.host}/orders?q=lamp"
        assert browser.page.status_code == 200 and "Kim Example" in browser.page.text


def test_somebody_unknown_here_reads_that(tmp_path: Path, certified: Certified, browser: Browser) -> None:
    with gate_before(tmp_path, certified, label="Certified") as gate:
        browser.go(f"http://{gate.host}/_gate/sso/certified")
        browser.sign_in_there("nobody")
        assert browser.page.status_code == 403
        assert "User not found" in browser.page.text and "Certified" in browser.page.text


def test_accounts_are_made_where_that_is_wanted_and_signing_out_goes_on_there(
    tmp_path: Path, certified: Certified, browser: Browser
) -> None:
    with gate_before(tmp_path, certified, provision=True, sign_out=True) as gate:
        browser.go(f"http://{gate.host}/_gate/sso/certified?next=/orders")
        browser.sign_in_there("lee")
        assert str(browser.page.url) == f"http://{gate.host}/orders"

        browser.go(f"http://{gate.host}/_gate/logout")
        assert "lee@example.com" in browser.page.text or "Kim Example" in browser.page.text
        browser.send()
        assert 'content="0; url=/_gate/sso/certified/sign-out"' in browser.page.text
        browser.go(f"http://{gate.host}/_gate/sso/certified/sign-out")
        assert str(browser.page.url).startswith(f"{certified.issuer}/session/end")
        browser.send(logout="yes")
        assert str(browser.page.url).startswith(f"http://{gate.host}/_gate/signed-out")
        browser.go(f"http://{gate.host}/_gate/sso/certified?next=/orders")
        assert str(browser.page.url).startswith(f"{certified.issuer}/interaction/"), "signed out there, too"
