"""What the session script asks of Gatekeeper, and what that does to the session."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from gatekeeper.core.session import EndReason, Timeouts, warn_before
from tests.script.browser import Browser, cookie_of, signed_in

ROOT = Path(__file__).resolve().parents[2]
LONG = {"idle_timeout": "6h"}


def test_the_script_is_small_and_has_no_code_made_of_text(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        page = browser.navigate("/orders").body.decode()
        src = re.findall(r'<script src="(/_gate/static/session\.js\?v=[0-9a-f]+)"', page)[0]
        served = browser.ask(src, Accept_Encoding="gzip")
        assert served.headers["content-encoding"] == "gzip"
        assert len(served.body) <= 5_000
        script = gzip.decompress(served.body).decode()
        for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "Function(", "document.write"):
            assert sink not in script
        assert "style=" not in script and ".style" not in script.replace("page.style", "")
        style = browser.ask(browser.session().json["style"])
        assert (style.status, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
        assert "immutable" in style.headers["cache-control"]


def test_it_says_who_is_signed_in_and_for_how_long(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        browser.clock.forward(100)
        reply = browser.session()
        said = reply.json
        assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
        assert (said["user"], said["name"], said["remembered"]) == ("pat", "Pat", False)
        assert said["idle_end"] - said["now"] == pytest.approx(800, abs=5)
        assert said["absolute_end"] - said["since"] == pytest.approx(28_800)
        assert (said["warn_before"], said["report_every"]) == (120, 30)
        assert said["account"] == "/_gate/account"
        assert said["texts"]["stay"] == "Stay signed in"


def test_asking_and_open_tabs_are_no_activity_and_reports_are(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        end = browser.session().json["idle_end"]
        browser.clock.forward(600)
        assert browser.session().json["idle_end"] == pytest.approx(end)
        assert browser.post("pulse").json["idle_end"] == pytest.approx(end)
        assert browser.post("active?ago=10").json["idle_end"] == pytest.approx(end + 590, abs=5)
        assert browser.session().json["idle_end"] == pytest.approx(end + 590, abs=5)
        browser.clock.forward(10)
        browser.beacon("ago=0.5")
        assert browser.session().json["idle_end"] == pytest.approx(end + 609, abs=5)
        browser.clock.forward(900)
        reply = browser.post("active")
        assert (reply.status, reply.json["error"]) == (401, "session_idle")


@pytest.mark.parametrize(
    ("ago", "counted"), [("-50", 0), ("nan", 0), ("x", 0), ("40", 40), ("inf", 600), ("1e9", 600)]
)
def test_activity_counts_from_when_it_was(tmp_path: Path, ago: str, counted: float) -> None:
    with signed_in(tmp_path) as browser:
        browser.clock.forward(600)
        said = browser.post(f"active?ago={ago}").json
        assert said["idle_end"] - said["now"] == pytest.approx(900 - counted, abs=2)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Gatekeeper-Session": ""}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "", "Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Cookie": ""}, 401),
        ({"Sec-Fetch-Site": ""}, 200),
    ],
)
def test_only_the_applications_own_pages_are_answered(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    with signed_in(tmp_path) as browser:
        end = browser.session().json["idle_end"]
        browser.clock.forward(60)
        for what in ("active", "pulse", "logout"):
            assert browser.ask(f"/_gate/session/{what}", "POST", **headers).status in (status, 415)
        assert browser.ask("/_gate/session", **headers).status == status
        assert (browser.session().json["idle_end"] > end + 1) is (status == 200)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": ""},
    ],
)
def test_a_beacon_of_another_site_closes_nothing(tmp_path: Path, headers: dict[str, str]) -> None:
    with signed_in(tmp_path, session=LONG) as browser:
        browser.session()
        browser.clock.forward(60)
        assert browser.beacon("last=1", **headers).status == 403
        browser.clock.forward(31)
        assert browser.session().status == 200


def test_the_last_tab_ends_the_session_and_the_sign_in_page_says_so(tmp_path: Path) -> None:
    with signed_in(tmp_path, session=LONG) as browser:
        browser.navigate("/orders")
        browser.session()
        browser.clock.forward(60)
        assert browser.beacon("last=1").status == 204
        browser.clock.forward(29)
        assert browser.navigate("/orders").status == 200
        browser.session()
        browser.clock.forward(60)
        browser.beacon("last=1")
        browser.clock.forward(30)
        reply = browser.navigate("/orders")
        assert (reply.status, reply.headers["location"]) == (303, "/_gate/login?next=/orders&ended=closed")
        page = browser.navigate(reply.headers["location"]).body.decode()
        assert "no longer open in any tab" in page
        assert browser.post("pulse").json["error"] == "session_closed"


def test_a_page_without_the_script_in_the_same_tab_keeps_it(tmp_path: Path) -> None:
    with signed_in(tmp_path, session=LONG) as browser:
        browser.navigate("/orders")
        browser.session()
        browser.clock.forward(60)
        browser.navigate("/_gate/account")
        browser.beacon("last=1")
        browser.clock.forward(1_000)
        assert browser.navigate("/orders").status == 200


def test_a_remembered_session_is_renewed_by_an_open_tab(tmp_path: Path) -> None:
    with signed_in(tmp_path, remembered=True, session={"remember_me": True}) as browser:
        said = browser.session().json
        assert (said["remembered"], said["idle_end"]) == (True, None)
        assert said["absolute_end"] - said["since"] == 30 * 86_400
        browser.clock.forward(301)
        at = browser.post("pulse").json["now"]

        async def renewed(services: Any) -> float:
            await services.sessions._renewer.flush()
            return float((await services.sessions.list(browser.user_id))[0].renewed_at)

        assert browser.gate.call(renewed) == pytest.approx(at, abs=5)
        browser.beacon("last=1")
        browser.clock.forward(47 * 3_600)
        assert browser.session().status == 200


@pytest.mark.parametrize(
    ("reason", "said"), [(EndReason.REVOKED, "session_revoked"), (EndReason.SIGNED_OUT, "session_signed_out")]
)
def test_it_says_why_the_session_is_over(tmp_path: Path, reason: EndReason, said: str) -> None:
    with signed_in(tmp_path) as browser:
        browser.session()

        async def end(services: Any) -> None:
            await services.sessions.end_user(browser.user_id, reason)

        browser.gate.call(end)
        reply = browser.post("pulse")
        assert (reply.status, reply.json["error"]) == (401, said)


def test_shortly_before_a_warning_the_store_is_asked(tmp_path: Path) -> None:
    """Another process may have heard of activity that this one has not."""
    with signed_in(tmp_path) as browser:
        end = browser.session().json["idle_end"]

        async def elsewhere(services: Any) -> None:
            record = (await services.sessions.list(browser.user_id))[0]
            await services.sessions._store.touch([(record.key, browser.clock())])

        browser.clock.forward(700)
        browser.gate.call(elsewhere)
        assert browser.post("pulse").json["idle_end"] == pytest.approx(end)
        browser.clock.forward(80)
        assert browser.post("pulse").json["idle_end"] == pytest.approx(end + 700, abs=5)


def test_signing_out_takes_the_form_token_and_says_where_to_go(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        reply = browser.session()
        cookie = reply.headers["set-cookie"].partition(";")[0]
        refused = browser.logout("made-up", cookie)
        assert (refused.status, refused.json) == (409, {"location": "/_gate/logout"})
        assert browser.session().status == 200
        done = browser.logout(reply.json["csrf"], cookie)
        assert (done.status, done.json) == (200, {"location": "/_gate/signed-out"})
        assert done.headers["clear-site-data"] == '"cache"'
        assert "gatekeeper=;" in done.headers["set-cookie"]
        assert browser.session().json["error"] == "session_signed_out"


def test_signing_in_again_is_offered_to_whoever_is_signed_in(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        asked = browser.session().json["sign_in"]
        page = browser.navigate(asked)
        assert page.status == 200 and b'name="password"' in page.body and b'value="pat"' in page.body
        assert browser.navigate("/_gate/login?next=/orders").headers["location"] == "/orders"
        back = browser.navigate("/_gate/session/back")
        assert back.status == 200 and b"You can close this window" in back.body
        nobody = browser.ask("/_gate/session/back", Cookie="", Sec_Fetch_Mode="navigate")
        assert nobody.headers["location"] == "/_gate/login?next=/_gate/session/back"


def test_what_scripts_are_refused_with_can_be_told_from_an_applications_own_401(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        browser.session()
        browser.clock.forward(901)
        reply = browser.ask("/orders")
        assert (reply.status, reply.headers["x-gatekeeper-refused"]) == (401, "session_idle")


def test_somebody_else_in_the_same_browser_is_told_apart(tmp_path: Path) -> None:
    with signed_in(tmp_path) as browser:
        kim = Browser(browser.gate, cookie_of(browser.gate, browser.gate.add_user("kim")), browser.clock, 2)
        assert (browser.session().json["user"], kim.session().json["user"]) == ("pat", "kim")


@pytest.mark.parametrize(
    ("idle", "before"), [(900, 120), (600, 120), (300, 60), (60, 20), (30, 15), (1, 0.5)]
)
def test_the_warning_is_two_minutes_ahead_or_in_proportion(idle: float, before: float) -> None:
    assert warn_before(Timeouts(idle=idle)) == before
