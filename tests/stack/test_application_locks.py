"""Applications with a lock and a sign-out link of their own."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.settings import SettingsError, make_settings
from tests.stack.test_applications import OFFICE, Browser, House
from tests.stack.whole import whole
from tests.wall.recording import Recording, recording

CLIENTS = "Basic bWluZTptaW5l"
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("locks")
    for name, text in {"write": "ops:sécret", "read": "Bearer only.reads", "all": "Token 42"}.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
        (folder / name).chmod(0o600)
    by_role = [
        {"role": ["Operations", "ops"], "file": str(folder / "write")},
        {"role": "audit", "file": str(folder / "read")},
    ]
    with recording() as front, recording() as reports, recording() as wiki:
        upstream: Any = [
            {
                "name": "front",
                "url": f"http://127.0.0.1:{front.port}",
                "authorization": {"roles": by_role},
                "logout_paths": ["/account/logout", "/sign-out"],
                "rules": [{"path": "/open/**", "allow": "public"}],
            },
            {
                "name": "reports",
                "at": "/reports",
                "url": f"http://127.0.0.1:{reports.port}",
                "authorization": {"file": str(folder / "all"), "public": True},
                "rules": [{"path": "/reports/open/**", "allow": "public"}],
                "logout_paths": "/reports/logout",
            },
            {"name": "plain", "at": "/plain", "url": f"http://127.0.0.1:{wiki.port}"},
            {
                "name": "none",
                "at": "/dropped",
                "url": f"http://127.0.0.1:{wiki.port}",
                "authorization": "drop",
            },
            {
                "name": "asked",
                "at": "/asked",
                "url": "none",
                "authorization": {"roles": by_role},
                "rules": [{"path": "/asked/open", "allow": "public"}],
            },
            {
                "name": "mixed",
                "at": "/mixed",
                "url": f"http://127.0.0.1:{wiki.port}",
                "authorization": {"roles": by_role[:1], "otherwise": "pass"},
            },
        ]
        common: dict[str, Any] = {
            "public_url": f"https://{OFFICE}",
            "trusted_proxies": "127.0.0.1",
            "rate_limits": {"passwords": {"account": "unlimited", "client": "unlimited"}},
        }
        with whole(folder / "data", upstream, **common) as gate:
            gate.add_user("ada", "audit")
            gate.add_user("olga", "audit", "ops")
            gate.add_user("pat")
            yield House(gate, front, reports, wiki)


def authorization(recorded: Recording) -> list[str]:
    (arrived,) = recorded.arrived
    recorded.clear()
    return re.findall(r"(?im)^authorization: (.*)\r$", arrived.head.decode("latin-1"))


def signed_in(shared: House, login: str) -> Browser:
    browser = Browser(shared.gate.port)
    assert browser.sign_in(OFFICE, login=login).status == 303
    return browser


def test_the_first_role_that_somebody_has_says_what_the_application_gets(shared: House) -> None:
    shared.heard()
    wanted = {
        "olga": ["Basic " + base64.b64encode("ops:sécret".encode()).decode()],
        "ada": ["Bearer only.reads"],
        "pat": [],
    }
    for login, expected in wanted.items():
        browser = signed_in(shared, login)
        for sent in ({}, {"Authorization": CLIENTS}):
            assert browser.ask(OFFICE, "/x", **sent).status == 200
            assert authorization(shared.front) == expected, (login, sent)


def test_public_pages_get_none_unless_that_is_said(shared: House) -> None:
    shared.heard()
    for browser in (Browser(shared.gate.port), signed_in(shared, "ada")):
        assert browser.ask(OFFICE, "/open/x", Authorization=CLIENTS).status == 200
        assert authorization(shared.front) == [], "neither ours nor the client's"
        assert browser.ask(OFFICE, "/reports/open/x", Authorization=CLIENTS).status == 200
        assert authorization(shared.reports) == ["Token 42"]


def test_the_clients_own_passes_where_nothing_is_said_and_is_dropped_where_that_is(shared: House) -> None:
    shared.heard()
    ada, olga = signed_in(shared, "ada"), signed_in(shared, "olga")
    for path, browser, expected in (
        ("/plain", ada, [CLIENTS]),
        ("/dropped", ada, []),
        ("/mixed", ada, [CLIENTS]),
        ("/mixed", olga, ["Basic " + base64.b64encode("ops:sécret".encode()).decode()]),
    ):
        assert browser.ask(OFFICE, path, Authorization=CLIENTS).status == 200
        assert authorization(shared.wiki) == expected, path


def test_a_sign_out_link_asks_and_leads_back_to_the_applications_front_page(shared: House) -> None:
    browser = signed_in(shared, "ada")
    shared.heard()
    answer = browser.ask(OFFICE, "/reports/logout")
    assert (answer.status, answer.headers["location"]) == (303, "/_gate/logout?next=/reports/")
    assert browser.ask(OFFICE, "/").status == 200, "nobody is signed out by a link"
    page = browser.ask(OFFICE, "/_gate/logout?next=/reports/").body
    assert 'name="back" value="/reports/"' in page and 'href="/reports/">Stay signed in' in page
    answer = browser.post(OFFICE, "/_gate/logout", "back=/reports/")
    assert (answer.status, answer.headers["location"]) == (303, "/reports/")
    assert browser.ask(OFFICE, "/").status == 303
    assert [line for line in shared.heard() if "logout" in line] == []


def test_a_form_of_the_application_signs_out_at_once(shared: House) -> None:
    for headers in ({"Origin": f"https://{OFFICE}"}, {"Sec-Fetch-Site": "same-origin"}):
        browser = signed_in(shared, "ada")
        answer = browser.ask(OFFICE, "/account/logout", "POST", "x=1", **headers)
        assert (answer.status, answer.headers["location"]) == (303, "/")
        assert answer.headers["clear-site-data"] == '"cache"'
        assert browser.ask(OFFICE, "/").status == 303
    browser = signed_in(shared, "ada")
    script = {"Sec-Fetch-Site": "same-origin", **SCRIPT}
    assert browser.ask(OFFICE, "/sign-out/", "DELETE", **script).status == 204
    assert browser.ask(OFFICE, "/").status == 303


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Origin": f"https://{OFFICE}"}, 303),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 403),
        (
            "GET",
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
            403,
        ),
        ("POST", {}, 303),
        ("POST", {"Sec-Fetch-Site": "same-site"}, 303),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 303),
        ("POST", {"Sec-Fetch-Site": "none"}, 303),
        ("POST", {"Origin": "https://evil.example"}, 303),
        ("POST", {"Origin": "https://wiki.example.com"}, 303),
        ("POST", {"Origin": "null"}, 303),
        ("POST", {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 303),
        ("POST", {"Origin": f"https://{OFFICE}", "Sec-Fetch-Site": "same-site"}, 303),
        (
            "POST",
            {"Origin": "https://evil.example", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
            403,
        ),
    ],
)
def test_nobody_is_signed_out_by_another_site_or_by_looking(
    shared: House, method: str, headers: dict[str, str], status: int
) -> None:
    browser = signed_in(shared, "ada")
    answer = browser.ask(OFFICE, "/account/logout", method, "x=1" if method == "POST" else "", **headers)
    assert answer.status == status
    assert answer.headers.get("location", "/_gate/logout?next=/") == "/_gate/logout?next=/"
    assert browser.ask(OFFICE, "/").status == 200


def test_a_way_back_that_is_no_page_of_ours_is_forgotten(shared: House) -> None:
    browser = signed_in(shared, "ada")
    answer = browser.post(OFFICE, "/_gate/logout", "back=https://evil.example/")
    assert answer.headers["location"] == "/"


def question(path: str, **headers: str) -> dict[str, str]:
    asked = {"Method": "GET", "Scheme": "https", "Host": OFFICE, "URI": path}
    return (
        {f"X-Original-{name}": value for name, value in asked.items()}
        | {"X-Forwarded-For": "192.0.2.7"}
        | headers
    )


def test_a_proxy_that_asks_is_told_what_to_write_and_what_to_take_out(shared: House) -> None:
    browser = signed_in(shared, "ada")
    expected = {"/asked/x": "Bearer only.reads", "/dropped": "", "/mixed": None, "/plain": None}
    for path, value in (expected | {"/asked/open": "", "/open/x": ""}).items():
        answer = browser.ask(OFFICE, "/_gate/auth/nginx", **question(path))
        assert (answer.status, answer.headers.get("authorization")) == (200, value), path


def test_what_is_written_here_is_told_to_nobody_who_asks(shared: House) -> None:
    """A proxy that hands everything on may hand on a person's own question, too."""
    browser = signed_in(shared, "olga")
    expected = {"/x": "", "/reports/x": "", "/reports/open/x": "", "/mixed/x": ""}
    for path, value in expected.items():
        answer = browser.ask(OFFICE, "/_gate/auth/nginx", **question(path))
        assert (answer.status, answer.headers.get("authorization")) == (200, value), path


def test_a_proxy_that_asks_leads_a_sign_out_link_to_our_page(shared: House) -> None:
    browser = signed_in(shared, "ada")
    answer = browser.ask(OFFICE, "/_gate/auth/nginx", **question("/reports/logout"))
    page = f"https://{OFFICE}/_gate/logout?next=/reports/"
    assert (answer.status, answer.headers["x-gatekeeper-sign-in"]) == (401, page)
    relayed = {
        name.replace("X-Original", "X-Forwarded"): value for name, value in question("/sign-out").items()
    }
    relayed["X-Forwarded-Proto"] = "https"
    answer = browser.ask(OFFICE, "/_gate/auth/traefik", **relayed)
    assert (answer.status, answer.headers["location"]) == (302, f"https://{OFFICE}/_gate/logout?next=/")
    assert browser.ask(OFFICE, "/_gate/auth/traefik", **(relayed | SCRIPT)).status == 403
    assert browser.ask(OFFICE, "/").status == 200


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (None, 0o600, "cannot be read"),
        ("a:b", 0o644, "can be read or changed by others"),
        ("", 0o600, "must hold one line"),
        ("a:b\nc:d", 0o600, "must hold one line"),
        ("onlyaword", 0o600, "holds neither user:password nor a whole value"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_at_the_start(
    tmp_path: Path, text: str | None, mode: int, complaint: str
) -> None:
    path = tmp_path / "login"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    upstream = {"url": "http://127.0.0.1:1", "authorization": {"file": str(path)}}
    data = {"public_url": f"https://{OFFICE}", "upstream": upstream, "data_dir": str(tmp_path)}
    with pytest.raises(SettingsError) as caught:
        make_settings(data, create=False)
    assert f"upstream.authorization.file: {path} " in str(caught.value) and complaint in str(caught.value)
    assert text is None or not text or text not in str(caught.value)
