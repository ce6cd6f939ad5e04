"""Signing in at Microsoft on the second of two hosts: back to that host, with a shared cookie or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gatekeeper.audit.events import Source
from gatekeeper.build.services import Services
from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving as serving_app
from tests.idp.directory import CLIENT_ID, SECRET, TENANT
from tests.idp.server import serving
from tests.stack.test_applications import OFFICE, WIKI, Browser
from tests.stack.whole import whole

LOGIN = "pat@example.com"


@pytest.mark.parametrize("shared", [True, False], ids=["one cookie", "a cookie each"])
@pytest.mark.parametrize("kind", ["web", "spa"])
def test_each_host_has_a_redirect_uri_of_its_own(tmp_path: Path, shared: bool, kind: str) -> None:
    callbacks = [f"https://{host}/_gate/sso/microsoft/callback" for host in (OFFICE, WIKI)]
    with serving() as idp, serving_app(make_sample()) as port:
        registration = idp.directory.registrations[0]
        registration.redirect_uris.update(callbacks)
        microsoft: dict[str, Any] = {
            "client_id": CLIENT_ID,
            "tenant": TENANT,
            "authority": idp.authority,
            "ca_file": str(idp.ca_file),
        }
        if kind == "web":
            microsoft["client_secret"] = SECRET
        else:
            registration.kind, registration.secret = "spa", None
        application = f"http://127.0.0.1:{port}"
        upstream: Any = [
            {"name": "office", "url": application},
            {"name": "wiki", "url": application, "at": WIKI},
        ]
        session = {"cookie_domain": "example.com"} if shared else {}
        settings: dict[str, Any] = {"microsoft": microsoft, "session": session}
        with whole(tmp_path, upstream, public_url=f"https://{OFFICE}", **settings) as gate:

            async def add(services: Services) -> None:
                await services.users.add(LOGIN, name="Pat Example", by=Source("test"))

            gate.call(add)
            browser = Browser(gate.port)
            out = browser.ask(WIKI, "/_gate/sso/microsoft?next=/orders%3Fq%3Dlamp")
            assert out.status == 303, out.body
            asked = parse_qs(urlsplit(out.headers["location"]).query)
            assert asked["redirect_uri"] == [callbacks[1]]
            there = idp.sign_in(out.headers["location"])
            back = urlsplit(there.headers["location"])
            assert back.netloc == WIKI
            done = browser.ask(WIKI, f"{back.path}?{back.query}")
            assert (done.status, done.headers["location"]) == (303, "/orders?q=lamp"), done.body
            assert browser.ask(WIKI, "/orders").status == 200
            assert browser.ask(OFFICE, "/orders").status == (200 if shared else 303)

            # What belongs to one host is worth nothing on the other.
            other = Browser(gate.port)
            out = other.ask(WIKI, "/_gate/sso/microsoft")
            back = urlsplit(idp.sign_in(out.headers["location"]).headers["location"])
            stolen = other.ask(OFFICE, f"{back.path}?{back.query}")
            assert other.ask(OFFICE, "/orders").status == 303, stolen.status
