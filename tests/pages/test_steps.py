"""From the password to the application: each step's page leads to the next, and nowhere else."""

from __future__ import annotations

import pytest

from gatekeeper.core.errors import RateLimited, StoreUnavailable
from gatekeeper.core.session import EndReason
from gatekeeper.core.steps import StepPolicy
from gatekeeper.pages.services import Slide
from tests.pages.support import ADA, COOKIES, GOOD_PASSWORD, Browser, House, hidden, run, set_cookies

NEXT = "/orders?tab=a#row5"
QUERY = "?next=/orders%3Ftab%3Da%23row5"
NEW = "one password of mine"


async def send(browser: Browser, path: str, **fields: str) -> object:
    page = await browser.get(path)
    known = {"csrf": hidden(page, "csrf"), "next": hidden(page, "next")}
    return await browser.post(path.split("?")[0], {**known, **fields})


def test_every_step_in_turn_keeps_the_way_back() -> None:
    async def story() -> None:
        house = House(
            policy=StepPolicy(two_factor="optional", welcome=True), slides=[Slide("Hello", "There.")]
        )
        house.accounts.change(second_factor=True, must_change="reset")
        browser = Browser(house)
        answer = await browser.sign_in(next=NEXT)
        for page, fields in [
            ("login/2fa", {"code": "123 456"}),
            ("password", {"new_password": NEW, "confirm_password": NEW}),
            ("welcome", {}),
        ]:
            assert answer.headers["location"] == f"/_gate/{page}{QUERY}"
            assert not house.sign_in.completions
            form = await browser.get(answer.headers["location"])
            sent = {"csrf": hidden(form, "csrf"), "next": hidden(form, "next"), **fields}
            answer = await browser.post(f"/_gate/{page}", sent)
        assert answer.headers["location"] == NEXT
        assert len(house.sign_in.completions) == 1
        (session,) = house.sessions.live.values()
        assert (session.record.methods, session.complete) == ("pwd otp", True)

    run(story)


def test_the_session_gets_a_new_id_with_each_proof() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True, must_change="reset")
        browser = Browser(house)
        await browser.sign_in()
        seen = [*house.sessions.live]
        await send(browser, "/_gate/login/2fa", code="123456")
        seen += house.sessions.live
        await send(browser, "/_gate/password", new_password=NEW, confirm_password=NEW)
        seen += house.sessions.live
        assert seen == ["session-1", "session-2", "session-3"]

    run(story)


@pytest.mark.parametrize("path", ["login", "login/2fa", "2fa/setup", "password", "welcome", "account"])
def test_whatever_page_is_opened_leads_to_the_step_that_is_due(path: str) -> None:
    async def story() -> None:
        house = House(
            policy=StepPolicy(two_factor="mandatory", welcome=True), slides=[Slide("Hello", "There.")]
        )
        browser = Browser(house)
        await browser.sign_in()
        answer = await browser.get(f"/_gate/{path}")
        if path == "2fa/setup":
            assert answer.status_code == 200
        else:
            assert answer.headers["location"].split("?")[0] == "/_gate/2fa/setup"

    run(story)


def test_a_step_posted_out_of_turn_does_nothing() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True, must_change="reset")
        browser = Browser(house)
        answer = await browser.sign_in()
        csrf = hidden(await browser.get(answer.headers["location"]), "csrf")
        answer = await browser.post(
            "/_gate/password", {"csrf": csrf, "new_password": NEW, "confirm_password": NEW}
        )
        assert answer.headers["location"].startswith("/_gate/login/2fa")
        assert house.accounts.passwords[ADA.id] == GOOD_PASSWORD

    run(story)


def test_two_tabs_asking_for_the_code_both_arrive() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True)
        browser = Browser(house)
        await browser.sign_in()
        first = await browser.get("/_gate/login/2fa?next=/a")
        second = await browser.get("/_gate/login/2fa?next=/b")
        answers = [
            await browser.post(
                "/_gate/login/2fa",
                {"csrf": hidden(tab, "csrf"), "next": hidden(tab, "next"), "code": "123456"},
            )
            for tab in (first, second)
        ]
        assert [answer.headers["location"] for answer in answers] == ["/a", "/b"]

    run(story)


@pytest.mark.parametrize(
    ("gone", "ended"),
    [
        (EndReason.ABSOLUTE, "unfinished"),
        (EndReason.UNFINISHED, "unfinished"),
        (EndReason.UNKNOWN, "unfinished"),
        (EndReason.REVOKED, "revoked"),
        (EndReason.IDLE, "idle"),
    ],
)
def test_a_sign_in_that_ended_half_way_begins_again_with_words(gone: EndReason, ended: str) -> None:
    async def story() -> None:
        house = House(gone=gone, policy=StepPolicy(two_factor="mandatory"))
        browser = Browser(house)
        await browser.sign_in()
        house.sessions.live.clear()
        answer = await browser.get(f"/_gate/2fa/setup{QUERY}")
        assert answer.headers["location"] == f"/_gate/login{QUERY}&ended={ended}"

    run(story)


def test_a_session_that_the_gate_still_believes_in_makes_no_circle() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="mandatory"))
        browser = Browser(house)
        await browser.sign_in()
        house.accounts.change(disabled=True)  # and nothing told the gate yet
        answer = await browser.get("/_gate/2fa/setup")
        assert answer.headers["location"] == "/_gate/login?ended=revoked"
        assert (await browser.get(answer.headers["location"])).status_code == 200

    run(story)


def test_the_fifth_wrong_code_ends_the_sign_in_and_says_that_a_mail_was_sent() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True)
        browser = Browser(house)
        await browser.sign_in()
        for _ in range(4):
            wrong = await browser.post(
                "/_gate/login/2fa",
                {"csrf": hidden(await browser.get("/_gate/login/2fa"), "csrf"), "code": "987 321"},
            )
            assert wrong.status_code == 403 and "<title>Error: " in wrong.text
            assert "987 321" not in wrong.text
        page = await browser.get("/_gate/login/2fa")
        last = await browser.post("/_gate/login/2fa", {"csrf": hidden(page, "csrf"), "code": "987 321"})
        assert last.headers["location"] == "/_gate/login?ended=locked"
        assert not house.sessions.live
        words = await browser.get("/_gate/login?ended=locked")
        assert "This account is locked after too many failed attempts" in words.text

    run(story)


def test_a_lock_at_the_last_moment_stops_the_sign_in() -> None:
    async def story() -> None:
        house = House()
        house.sign_in.locked_on_completion = True
        answer = await Browser(house).sign_in()
        assert answer.headers["location"] == "/_gate/login?ended=locked"
        assert not house.sessions.live

    run(story)


def test_a_recovery_code_stands_in_once() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True)
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/login/2fa?recovery=1")
        assert "Recovery code" in page.text and 'autocomplete="off"' in page.text
        fields = {"csrf": hidden(page, "csrf"), "recovery": "1", "code": "ab12-cd34"}
        assert (await browser.post("/_gate/login/2fa", fields)).headers["location"] == "/"
        (session,) = house.sessions.live.values()
        assert session.record.methods == "pwd recovery"

    run(story)


def test_a_trusted_browser_is_not_asked_again_and_another_one_is() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.second_factors.trust_for = 30 * 86_400.0
        house.accounts.change(second_factor=True, must_change="reset")
        browser = Browser(house)
        await browser.sign_in()
        page = await browser.get("/_gate/login/2fa")
        assert "in this browser for 30 days" in page.text
        await send(browser, "/_gate/login/2fa", code="123456", trust="1")
        assert not house.second_factors.trusted_devices, "not before the sign-in is complete"
        await send(browser, "/_gate/password", new_password=NEW, confirm_password=NEW)
        assert house.second_factors.trusted_devices == {(ADA.id, "device-1")}
        page = await browser.get("/_gate/logout")
        await browser.post("/_gate/logout", {"csrf": hidden(page, "csrf")})
        assert (await browser.sign_in(password=NEW)).headers["location"] == "/"
        assert (await Browser(house).sign_in(password=NEW)).headers["location"] == "/_gate/login/2fa"

    run(story)


def test_no_box_no_trust() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True)
        browser = Browser(house)
        await browser.sign_in()
        assert 'name="trust"' not in (await browser.get("/_gate/login/2fa")).text
        await send(browser, "/_gate/login/2fa", code="123456", trust="1")
        assert not house.second_factors.trusted_devices

    run(story)


@pytest.mark.parametrize(
    ("failure", "status"), [(RateLimited(42), 429), (StoreUnavailable(retry_after=42), 503)]
)
def test_too_many_or_too_busy_is_said_with_the_time_to_wait(failure: Exception, status: int) -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        house.accounts.change(second_factor=True)
        browser = Browser(house)
        await browser.sign_in()
        house.second_factors.fails_with = failure
        page = await browser.get("/_gate/login/2fa")
        answer = await browser.post("/_gate/login/2fa", {"csrf": hidden(page, "csrf"), "code": "123456"})
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "42")
        house.sign_in.fails_with = failure
        answer = await Browser(house).sign_in()
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "42")

    run(story)


def test_setting_up_shows_the_key_in_groups_and_the_recovery_codes_once() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="mandatory"))
        browser = Browser(house)
        await browser.sign_in(next="/orders")
        page = await browser.get("/_gate/2fa/setup?next=/orders")
        for words in (
            "2FA account token",
            "JBSW Y3DP EHPK 3PXP",
            "2FA token (6 digits)",
            ">Update</button>",
            "<svg",
        ):
            assert words in page.text
        fields = {"csrf": hidden(page, "csrf"), "next": "/orders"}
        wrong = await browser.post("/_gate/2fa/setup", {**fields, "code": "1"})
        assert wrong.status_code == 403 and 'id="code-err"' in wrong.text
        codes = await browser.post("/_gate/2fa/setup", {**fields, "code": "123456"})
        assert codes.text.count("-wxyz") == 10
        assert len(house.sign_in.completions) == 1, "also for those who leave without a click"
        again = await browser.post("/_gate/2fa/setup", {**fields, "code": "123456"})
        assert again.headers["location"] == "/_gate/account"
        saved = await browser.post("/_gate/2fa/saved", {**fields, "saved": "1"})
        assert saved.headers["location"] == "/orders"

    run(story)


def test_setting_up_by_choice_asks_for_the_password_before_it_shows_anything() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        browser = Browser(house)
        await browser.sign_in()
        asked = await browser.get("/_gate/2fa/setup")
        fields = {"csrf": hidden(asked, "csrf"), "code": "123456"}
        wrong = await browser.post("/_gate/2fa/setup", {**fields, "password": "wrong"})
        assert wrong.status_code == 403 and 'id="password-err"' in wrong.text
        stale = await browser.post("/_gate/2fa/setup", {"csrf": "x", "password": GOOD_PASSWORD})
        for page in (asked, wrong, stale):
            assert "JBSW" not in page.text and "qr-box" not in page.text
        right = await browser.post("/_gate/2fa/setup", {**fields, "password": GOOD_PASSWORD})
        assert right.status_code == 200 and "JBSW Y3DP" in right.text
        assert not house.accounts.by_id[ADA.id].second_factor, "the code was not asked for yet"
        fields["proof"] = hidden(right, "proof")
        mistyped = await browser.post("/_gate/2fa/setup", {**fields, "code": "1"})
        assert mistyped.status_code == 403 and "JBSW Y3DP" in mistyped.text
        codes = await browser.post("/_gate/2fa/setup", fields)
        assert "Your recovery codes" in codes.text

    run(story)


def test_the_password_counts_for_ten_minutes_and_in_its_own_session() -> None:
    async def story() -> None:
        house = House(policy=StepPolicy(two_factor="optional"))
        mine, others = Browser(house), Browser(house)
        fields = {}
        for browser in (others, mine):
            await browser.sign_in()
            page = await browser.get("/_gate/2fa/setup")
            fields = {"csrf": hidden(page, "csrf")}
            page = await browser.post("/_gate/2fa/setup", {**fields, "password": GOOD_PASSWORD})
            if browser is others:
                theirs = hidden(page, "proof")
        own = hidden(page, "proof")
        for proof in (theirs, own[:-1] + "x", "", "é"):
            answer = await mine.post("/_gate/2fa/setup", {**fields, "proof": proof, "code": "123456"})
            assert "JBSW" not in answer.text and not house.accounts.by_id[ADA.id].second_factor
        house.clock.now += 600
        late = await mine.post("/_gate/2fa/setup", {**fields, "proof": own, "code": "123456"})
        assert "JBSW" not in late.text
        house.clock.now -= 1
        codes = await mine.post("/_gate/2fa/setup", {**fields, "proof": own, "code": "123456"})
        assert "Your recovery codes" in codes.text

    run(story)


def test_nobody_sets_up_what_is_switched_off() -> None:
    async def story() -> None:
        browser = Browser(House())
        await browser.sign_in()
        assert (await browser.get("/_gate/2fa/setup")).headers["location"] == "/_gate/account"

    run(story)


def test_remember_me_is_there_when_configured_and_stays_ticked() -> None:
    async def story() -> None:
        plain = Browser(House())
        assert "Remember me" not in (await plain.get("/_gate/login")).text
        house = House(remember_max=2_592_000.0)
        browser = Browser(house)
        page = await browser.get("/_gate/login")
        assert 'name="remember" value="1">' in page.text
        fields = {"csrf": hidden(page, "csrf"), "login": ADA.login, "password": GOOD_PASSWORD}
        ticked = await browser.post("/_gate/login", {**fields, "remember": "1"})
        session = next(line for line in set_cookies(ticked) if line.startswith(COOKIES.session + "="))
        assert session.endswith("Max-Age=2592000")
        assert next(iter(house.sessions.live.values())).record.remembered
        house.sessions.live.clear()
        assert 'name="remember" value="1" checked>' in (await browser.get("/_gate/login")).text
        unticked = await browser.post("/_gate/login", fields)
        session = next(line for line in set_cookies(unticked) if line.startswith(COOKIES.session + "="))
        assert "Max-Age" not in session
        house.sessions.live.clear()
        assert "checked" not in (await browser.get("/_gate/login")).text

    run(story)


def test_remember_me_that_nobody_offered_is_not_granted() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        csrf = hidden(await browser.get("/_gate/login"), "csrf")
        fields = {"csrf": csrf, "login": ADA.login, "password": GOOD_PASSWORD, "remember": "1"}
        answer = await browser.post("/_gate/login", fields)
        assert "Max-Age" not in set_cookies(answer)[-1]
        assert not next(iter(house.sessions.live.values())).record.remembered

    run(story)


def test_the_browser_is_known_by_its_cookie_from_then_on() -> None:
    async def story() -> None:
        house = House()
        browser = Browser(house)
        answer = await browser.sign_in()
        (cookie,) = [line for line in set_cookies(answer) if line.startswith(COOKIES.device)]
        assert (
            cookie
            == "__Host-gatekeeper_device=device-1; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=34560000"
        )
        house.sessions.live.clear()
        await browser.sign_in()
        assert house.sign_in.devices == [None, "device-1"]

    run(story)
