"""Out to an identity provider and back: the pages' half."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import structlog

from gatekeeper.accounts.federation import FederationRefused
from gatekeeper.audit.events import EventKind
from gatekeeper.core.errors import RateLimited, StoreUnavailable
from gatekeeper.core.policy import ANY_TIME, proved
from gatekeeper.core.session import EndReason
from gatekeeper.core.steps import StepPolicy
from gatekeeper.pages import sso, sso_flows
from gatekeeper.pages.sso_services import SignInProvider
from gatekeeper.providers.messages import MESSAGES
from gatekeeper.providers.protocol import ProviderError
from tests.pages.messages_table import DOCS, table
from tests.pages.providers import FakeProvider, entry
from tests.pages.support import ADA, ORIGIN, Browser, House, hidden, run, set_cookies

PLACE = "/_gate/sso/microsoft"


def state_of(answer: httpx.Response) -> str:
    """Of a redirect to the provider."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("https://login.example/authorize?")
    return parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]


class Story:
    """A browser at a gate with one provider, or several."""

    def __init__(self, *entries: SignInProvider, **house: Any) -> None:
        self.provider = FakeProvider()
        self.house = House(providers=entries or (entry(self.provider),), **house)
        self.browser = Browser(self.house)

    async def out(self, target: str = "/", **headers: str) -> str:
        """Press the button; the state."""
        sent = {"sec_fetch_site": "same-origin"} | headers
        return state_of(await self.browser.get(f"{PLACE}?{urlencode({'next': target})}", **sent))

    async def back(self, state: str, **query: str) -> httpx.Response:
        """What the provider sends the browser back with."""
        query = {"state": state} | (query or {"code": "good"})
        return await self.browser.get(f"{PLACE}/callback?{urlencode(query)}", sec_fetch_site="cross-site")


def flow_cookies(answer: httpx.Response) -> list[str]:
    return [line for line in set_cookies(answer) if line.startswith("__Secure-gatekeeper_sso_")]


def test_the_whole_way_leads_back_to_the_page_wanted() -> None:
    async def story() -> None:
        told = Story()
        state = await told.out("/orders/42?tab=notes&q=a%26b#row5")
        answer = await told.back(state)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/orders/42?tab=notes&q=a%26b#row5"
        (begun,), (redeemed,) = told.provider.begun, told.provider.redeemed
        assert redeemed == {
            "code": "good",
            "verifier": begun["verifier"],
            "nonce": begun["nonce"],
            "redirect_uri": f"{ORIGIN}{PLACE}/callback",
        }
        assert len({begun["state"], begun["nonce"], begun["verifier"]}) == 3
        (session,) = told.house.sessions.live.values()
        assert (session.record.methods, session.complete) == ("fed idp:microsoft", True)
        assert told.house.sign_in.completions == [session], (
            "device, last sign-in and mails as with a password"
        )
        assert any(line.startswith("__Host-gatekeeper=session-1;") for line in set_cookies(answer))

    run(story)


def test_the_flow_is_kept_by_the_browser_alone_for_ten_minutes_and_for_two_addresses() -> None:
    async def story() -> None:
        told = Story()
        answer = await told.browser.get(PLACE)
        (cookie,) = flow_cookies(answer)
        assert re.fullmatch(
            r"__Secure-gatekeeper_sso_[0-9a-f]{16}=[\w=-]+; Path=/_gate/sso/microsoft; HttpOnly; SameSite=Lax"
            r"; Secure; Max-Age=600",
            cookie,
        )
        state = state_of(answer)
        assert state not in cookie and told.provider.begun[0]["verifier"] not in cookie
        back = await told.back(state)
        (gone,) = flow_cookies(back)
        assert "=; Path=/_gate/sso/microsoft;" in gone and "Max-Age=0" in gone

    run(story)


def test_several_tabs_at_once_all_arrive() -> None:
    async def story() -> None:
        told = Story()
        states = [await told.out(f"/tab/{number}") for number in range(5)]
        for number in (3, 0, 4, 1, 2):
            answer = await told.back(states[number])
            assert answer.headers["location"] == f"/tab/{number}"
            told.house.clock.now += 1

    run(story)


def test_no_browser_is_filled_with_flows() -> None:
    async def story() -> None:
        told = Story()
        states = []
        for number in range(sso_flows.MAX_FLOWS + 3):
            told.house.clock.now += 1
            states.append(await told.out(f"/tab/{number}"))
        names = [cookie.name for cookie in told.browser.http.cookies.jar if "_sso_" in cookie.name]
        assert len(names) == sso_flows.MAX_FLOWS
        assert (await told.back(states[2])).status_code == 400
        assert (await told.back(states[3])).headers["location"] == "/tab/3"

    run(story)


def test_an_address_that_is_too_long_for_a_cookie_is_cut_to_its_path() -> None:
    async def story() -> None:
        told = Story()
        for target, expected in [
            ("/a?q=" + "x" * 2000, "/a?q=" + "x" * 2000),
            ("/a?q=" + "x" * 3500, "/a"),
            ("/" + "x" * 3500, "/"),
        ]:
            answer = await told.browser.get(f"{PLACE}?{urlencode({'next': target})}")
            assert len(flow_cookies(answer)[0]) < 4096
            assert (await told.back(state_of(answer))).headers["location"] == expected
            told.browser.http.cookies.clear()

    run(story)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/_gate/sso/microsoft"])
def test_nobody_is_sent_to_another_site(target: str) -> None:
    async def story() -> None:
        told = Story()
        assert (await told.back(await told.out(target))).headers["location"] == "/"

    run(story)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_gets_no_further_than_our_sign_in_page(site: str) -> None:
    async def story() -> None:
        told = Story()
        answer = await told.browser.get(f"{PLACE}?next=/orders", sec_fetch_site=site)
        assert answer.headers["location"] == "/_gate/login?next=/orders"
        assert not told.provider.begun and not set_cookies(answer)

    run(story)


def test_the_answer_to_somebody_elses_flow_signs_nobody_in() -> None:
    """Login CSRF: the attacker's own code and state, even with the attacker's flow cookie."""

    async def story() -> None:
        told = Story()
        attacker, victim = told.browser, Browser(told.house)
        state = await told.out()
        for planted in (False, True):
            if (
                planted
            ):  # from a sibling host, which can set a __Secure- cookie for the domain, but no __Host-
                for cookie in attacker.http.cookies.jar:
                    if cookie.name.startswith("__Secure-"):
                        victim.http.cookies.jar.set_cookie(cookie)
                await victim.get(PLACE)  # so that the victim's browser has a binding of its own
            answer = await victim.get(f"{PLACE}/callback?{urlencode({'state': state, 'code': 'good'})}")
            assert (answer.status_code, title(answer)) == (400, MESSAGES["state_mismatch"].title)
        assert not told.provider.redeemed and not told.house.sessions.live

    run(story)


def test_the_same_answer_twice_counts_once() -> None:
    async def story() -> None:
        told = Story()
        state = await told.out("/orders")
        cookies = httpx.Cookies(told.browser.http.cookies)
        assert (await told.back(state)).status_code == 303
        signed_in = httpx.Cookies(told.browser.http.cookies)

        told.browser.http.cookies = cookies  # as before: somebody kept the address and the cookies
        again = await told.back(state)
        assert (again.status_code, title(again)) == (400, MESSAGES["flow_expired"].title)
        assert len(told.provider.redeemed) == 1 and len(told.house.sessions.live) == 1

        for cookie in cookies.jar:
            signed_in.jar.set_cookie(cookie)
        told.browser.http.cookies = signed_in  # the person's own browser, after "back"
        assert (await told.back(state)).headers["location"] == "/_gate/login?next=/orders"
        assert len(told.provider.redeemed) == 1

    run(story)


def test_a_flow_is_over_after_ten_minutes() -> None:
    async def story() -> None:
        told = Story()
        state = await told.out()
        told.house.clock.now += sso_flows.LIFETIME
        answer = await told.back(state)
        assert (answer.status_code, title(answer)) == (400, MESSAGES["state_mismatch"].title)

    run(story)


def test_a_flow_belongs_to_one_provider() -> None:
    async def story() -> None:
        other = FakeProvider("okta", "Okta")
        told = Story(entry(other), entry())
        state = state_of(await told.browser.get("/_gate/sso/okta"))
        for cookie in told.browser.http.cookies.jar:  # the path alone would keep it from the other one
            cookie.path = "/"
        assert title(await told.back(state)) == MESSAGES["state_mismatch"].title
        assert not other.redeemed and not told.house.sessions.live

    run(story)


def test_a_flow_is_that_of_its_own_state_whatever_its_cookie_is_called() -> None:
    async def story() -> None:
        told = Story()
        one, other = await told.out("/one"), await told.out("/other")
        first, second = (c for c in told.browser.http.cookies.jar if c.name.startswith("__Secure-"))
        first.value, second.value = second.value, first.value
        for state in (one, other):
            assert title(await told.back(state)) == MESSAGES["state_mismatch"].title
        assert not told.provider.redeemed

    run(story)


def test_claims_of_another_provider_are_refused() -> None:
    async def story() -> None:
        told = Story()
        told.provider.claims = told.provider.claims._replace(provider="okta")
        assert title(await told.back(await told.out())) == MESSAGES["token_invalid"].title
        assert not told.house.federation.asked

    run(story)


def test_whoever_is_not_known_can_use_another_account() -> None:
    """The provider knows who is signed in there and lets them through at once: it must be told to ask."""

    async def story() -> None:
        told = Story()
        told.house.federation.fails_with = FederationRefused(reason="unknown_user")
        page = await told.back(await told.out("/orders?a=1&b=2"))
        link = re.search(r'href="([^"]+)"[^>]*>Use another account<', page.text)
        assert link is not None, page.text
        told.house.federation.fails_with = None
        again = await told.browser.get(unescape(link[1]), sec_fetch_site="same-origin")
        assert [begun.get("choose") for begun in told.provider.begun] == [None, "yes"]
        assert (await told.back(state_of(again))).headers["location"] == "/orders?a=1&b=2"

        told.browser.http.cookies.clear()
        told.provider.redeem_fails_with = ProviderError("token_invalid", "x")
        page = await told.back(await told.out())
        assert "Use another account" not in page.text, "nothing that another one would change"

    run(story)


def test_a_head_request_uses_nothing_up() -> None:
    async def story() -> None:
        told = Story()
        state = await told.out()
        head = await told.browser.http.head(f"{PLACE}/callback", params={"state": state, "code": "good"})
        assert head.status_code == 405
        assert (await told.back(state)).status_code == 303
        assert (await told.browser.get("/_gate/sso/nobody")).status_code == 404

    run(story)


def test_the_way_back_leads_to_the_host_that_the_browser_is_at() -> None:
    """Its cookies are for that one alone; a host that is not ours is never named."""

    async def story() -> None:
        for origins, expected in [
            (("https://other.example.com", ORIGIN), ORIGIN),
            (("https://other.example.com",), "https://other.example.com"),
        ]:
            told = Story(origins=origins)
            await told.out()
            assert told.provider.begun[0]["redirect_uri"] == f"{expected}{PLACE}/callback"

    run(story)


def test_the_documentation_explains_every_code_with_the_words_of_the_log() -> None:
    assert DOCS.read_text(encoding="utf-8").endswith(table()), "python -m tests.pages.messages_table"


MARKUP = '<script>alert("x")</script>'
BROKEN = [
    ("", "state_missing"),
    ("code=good", "state_missing"),
    ("state=&code=good", "state_missing"),
    ("state={state}", "callback_invalid"),
    ("state={state}&code=", "callback_invalid"),
    ("state={state}&code=good&code=evil", "callback_invalid"),
    ("state={state}&state={state}&code=good", "callback_invalid"),
    ("state={state}&state=other&code=good", "callback_invalid"),
    ("state={state}&code=good&error=access_denied", "callback_invalid"),
    ("state={state}&error=a&error=b", "callback_invalid"),
    ("state={state}&code=good&iss=a&iss=b", "callback_invalid"),
    ("state=%00&code=good", "callback_invalid"),
    ("state=<script>&code=good", "callback_invalid"),
    ("state={state}&code=%0d%0aSet-Cookie:%20a=b", "callback_invalid"),
    ("state={state}&code=%ff", "callback_invalid"),
    ("state={state}&code=" + "x" * 9000, "callback_invalid"),
    ("state={state}&code=good&" + "&".join(f"x{n}=1" for n in range(30)), "callback_invalid"),
    ("state=x{state}&code=good", "state_mismatch"),
    ("state={state}x&code=good", "state_mismatch"),
    ("state=AAAA&code=good", "state_mismatch"),
    ("state={state}&error=access_denied", "cancelled"),
    ("state={state}&error={markup}", "provider_error"),
    ("state={state}&error=access_denied&error_description={markup}", "cancelled"),
    ("state={state}&error=access_denied&error_description=AADSTS65001%3A+{markup}", "consent"),
    ("state={state}&error=consent_required&error_description=AADSTS65001", "consent"),
    ("state={state}&error=x&error_description=AADSTS50076", "mfa_required"),
    ("state={state}&error=x&error_description=AADSTS500121", "mfa_failed"),
    ("state={state}&error=x&error_description=AADSTS53003", "conditional_access"),
    ("state={state}&error=x&error_description=AADSTS50105", "no_access"),
    ("state={state}&error=x&error_description=AADSTS50057", "blocked"),
    ("state={state}&error=x&error_description=AADSTS7000215", "secret_invalid"),
    ("state={state}&error=server_error", "provider_busy"),
    ("state={state}&error=temporarily_unavailable&error_uri={markup}", "provider_busy"),
    ("state={state}&error=login_required", "asks_again"),
]


@pytest.mark.parametrize(("query", "code"), BROKEN, ids=[f"{n}-{code}" for n, (_, code) in enumerate(BROKEN)])
def test_every_broken_or_refused_answer_has_its_page_and_nothing_of_it_is_shown(
    query: str, code: str
) -> None:
    async def story() -> None:
        told = Story()
        state = await told.out("/orders")
        address = query.replace("{state}", state).replace("{markup}", MARKUP)
        answer = await told.browser.get(f"{PLACE}/callback?{address}")
        message = MESSAGES[code]
        assert (answer.status_code, title(answer)) == (message.status, worded(message.title))
        assert worded(message.text) in plain(answer)
        assert "<code>req-1</code>" in answer.text, "the reference for the log"
        assert answer.headers["referrer-policy"] == "strict-origin"
        for injected in ("alert", "evil", state, "x" * 100):
            assert injected not in answer.text
        assert not told.provider.redeemed and not told.house.sessions.live
        known = "state={state}&" in query and code not in ("callback_invalid", "state_mismatch")
        assert (told.house.audit.events != []) == known, "only what belongs to a flow is written down"

    run(story)


REFUSED = [
    ("unknown_user", "aad_user_not_found"),
    ("disabled", "disabled"),
    ("locked", "locked"),
    ("other_person", "other_person"),
    ("no_role", "no_role"),
    ("groups_incomplete", "groups_overage"),
]


@pytest.mark.parametrize(("reason", "code"), REFUSED)
def test_whoever_may_not_sign_in_reads_why(reason: str, code: str) -> None:
    async def story() -> None:
        told = Story()
        told.house.federation.fails_with = FederationRefused(reason=reason)
        answer = await told.back(await told.out("/orders"))
        assert (answer.status_code, title(answer)) == (403, MESSAGES[code].title)
        assert worded(MESSAGES[code].text) in plain(answer)
        assert 'href="/_gate/login?next=/orders"' in answer.text
        assert not told.house.sessions.live
        assert told.house.audit.events == [], "the account's own row says it"

    run(story)


def test_a_user_not_found_reads_what_the_manual_promises() -> None:
    async def story() -> None:
        told = Story()
        told.house.federation.fails_with = FederationRefused(reason="unknown_user")
        assert title(await told.back(await told.out())) == "AAD User not found"
        other = FakeProvider("okta", "Okta")
        told = Story(entry(other))
        told.house.federation.fails_with = FederationRefused(reason="unknown_user")
        state = state_of(await told.browser.get("/_gate/sso/okta"))
        answer = await told.browser.get(
            f"/_gate/sso/okta/callback?{urlencode({'state': state, 'code': 'x'})}"
        )
        assert title(answer) == "User not found" and "Okta" in answer.text

    run(story)


@pytest.mark.parametrize("code", ["token_invalid", "secret_invalid", "unreachable", "clock_skew", "no such"])
def test_a_code_that_cannot_be_redeemed_has_its_page(code: str) -> None:
    async def story() -> None:
        told = Story()
        told.provider.redeem_fails_with = ProviderError(code, "the detail", vendor_code="AADSTS7000215")
        with structlog.testing.capture_logs() as lines:
            answer = await told.back(await told.out())
        message = MESSAGES.get(code, MESSAGES["provider_error"])
        assert (answer.status_code, title(answer)) == (message.status, worded(message.title))
        assert "the detail" not in answer.text and "<code>AADSTS7000215</code>" in answer.text
        (line,) = lines
        assert (line["code"], line["vendor_code"], line["detail"]) == (code, "AADSTS7000215", "the detail")
        assert line["request_id"] == "req-1" and "{" not in line["fix"]
        ((kind, event),) = told.house.audit.events
        assert kind is EventKind.SIGN_IN_FAILED
        assert event["details"] == {"provider": "microsoft", "reason": code, "vendor": "AADSTS7000215"}

    run(story)


def test_the_operators_line_names_what_to_register() -> None:
    async def story() -> None:
        told = Story()
        told.provider.redeem_fails_with = ProviderError("secret_invalid")
        with structlog.testing.capture_logs() as lines:
            await told.back(await told.out())
        assert f"{ORIGIN}{PLACE}/callback" in lines[0]["fix"]

    run(story)


def test_a_provider_that_is_down_is_a_page_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sso.BEGIN_WITHIN == 5.0
    monkeypatch.setattr(sso, "BEGIN_WITHIN", 0.05)

    async def story() -> None:
        for silent in (True, False):
            told = Story()
            told.provider.silent = silent
            told.provider.begin_fails_with = ProviderError("unreachable")
            answer = await told.browser.get(f"{PLACE}?next=/orders")
            assert (answer.status_code, title(answer)) == (503, "Microsoft cannot be reached")
            assert 'href="/_gate/login?next=/orders"' in answer.text
            assert not flow_cookies(answer)
            assert (await told.browser.sign_in(next="/orders")).headers["location"] == "/orders"

    run(story)


@pytest.mark.parametrize(
    ("failure", "status"), [(RateLimited(7), 429), (StoreUnavailable(retry_after=7), 503)]
)
def test_too_many_and_a_store_that_is_down_say_when_to_come_back(failure: Exception, status: int) -> None:
    async def story() -> None:
        told = Story()
        state = await told.out()
        told.house.flows.fails_with = failure
        answer = await told.back(state)
        assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
        told.house.flows.fails_with = None
        assert (await told.back(state)).status_code == 303, "the same address works once it can be tried"

    run(story)


def test_our_second_factor_is_asked_unless_the_providers_counts() -> None:
    async def story() -> None:
        told = Story(policy=StepPolicy(two_factor="optional"))
        told.house.accounts.change(second_factor=True)
        answer = await told.back(await told.out("/orders"))
        assert answer.headers["location"] == "/_gate/login/2fa?next=/orders"
        (half,) = told.house.sessions.live.values()
        assert (half.record.methods, half.record.second_factor_at) == ("fed idp:microsoft", 0.0)
        assert not told.house.sign_in.completions

        told = Story(policy=StepPolicy(two_factor="mandatory"))
        told.provider.claims = told.provider.claims._replace(
            second_factor=True, authenticated_at=told.house.clock.now
        )
        answer = await told.back(await told.out("/orders"))
        assert answer.headers["location"] == "/orders"
        (whole,) = told.house.sessions.live.values()
        assert whole.record.methods == "fed idp:microsoft mfa"
        assert whole.record.second_factor_at == told.house.clock.now

    run(story)


@pytest.mark.parametrize(("ago", "fresh"), [(0.0, True), (590.0, True), (601.0, False), (None, False)])
def test_a_second_factor_at_the_provider_is_as_old_as_it_says(ago: float | None, fresh: bool) -> None:
    """Whoever is signed in there comes back at once: coming back proves nothing about when."""

    async def story() -> None:
        told = Story(policy=StepPolicy(two_factor="mandatory"))
        now = told.house.clock.now
        told.provider.claims = told.provider.claims._replace(
            second_factor=True, authenticated_at=0.0 if ago is None else now - ago
        )
        await told.back(await told.out())
        (session,) = told.house.sessions.live.values()
        assert session.complete and proved(session.record, ANY_TIME, now)
        assert proved(session.record, 600.0, now) is fresh

    run(story)


def test_whoever_has_no_password_here_sets_a_second_factor_up_right_after_signing_in() -> None:
    async def story() -> None:
        told = Story(policy=StepPolicy(two_factor="optional"))
        await told.back(await told.out())
        page = await told.browser.get("/_gate/2fa/setup?next=/orders")
        assert "JBSW Y3DP" in page.text and 'type="password"' not in page.text
        told.house.clock.now += 600
        late = await told.browser.get("/_gate/2fa/setup?next=/orders")
        assert "sign in again" in late.text and 'type="password"' not in late.text
        assert "JBSW" not in late.text
        sent = {"csrf": hidden(late, "csrf"), "code": "123456", "next": "/orders"}
        refused = await told.browser.post("/_gate/2fa/setup", sent)
        assert refused.status_code == 403 and not told.house.accounts.by_id[ADA.id].second_factor
        again = await told.browser.post(
            "/_gate/logout", {"csrf": hidden(late, "csrf"), "then": "login", "next": hidden(late, "next")}
        )
        assert again.headers["location"] == "/_gate/login?next=/orders"

    run(story)


def test_a_trusted_browser_needs_no_code_after_microsoft_either() -> None:
    async def story() -> None:
        told = Story(policy=StepPolicy(two_factor="optional"))
        told.house.accounts.change(second_factor=True)
        told.house.second_factors.trusted_devices.add((ADA.id, "known"))
        told.browser.http.cookies.set("__Host-gatekeeper_device", "known")
        answer = await told.back(await told.out("/orders"))
        assert answer.headers["location"] == "/orders"
        assert told.house.federation.asked[0][1] == "known", "a known browser has a lock of its own"

    run(story)


def test_the_session_before_is_over() -> None:
    async def story() -> None:
        told = Story()
        state = await told.out()
        await told.browser.sign_in()
        (before,) = told.house.sessions.live.values()
        await told.back(state)
        assert told.house.sessions.ended == [(before, EndReason.REPLACED)]
        assert len(told.house.sessions.live) == 1
        again = await told.browser.get(f"{PLACE}?next=/orders")
        assert again.headers["location"] == "/_gate/login?next=/orders", "who is signed in is not sent out"

    run(story)


def test_the_buttons_stand_in_the_order_of_the_configuration() -> None:
    async def story() -> None:
        okta = entry(FakeProvider("okta", "Okta & Co"))
        told = Story(okta, entry(button="Microsoft Azure login"))
        page = await told.browser.get("/_gate/login?next=/orders%3Fa%3D1")
        found = re.findall(r'<a class="btn w" href="([^"]*)" data-keep-fragment>.*?([^<>]*)</a>', page.text)
        assert found == [
            ("/_gate/sso/okta?next=/orders%3Fa%3D1", "Sign in with Okta &amp; Co"),
            ("/_gate/sso/microsoft?next=/orders%3Fa%3D1", "Microsoft Azure login"),
        ]
        plain_house = await Browser(House()).get("/_gate/login")
        assert "/sso/" not in plain_house.text and 'class="or"' not in plain_house.text

    run(story)


def test_whoever_went_and_did_not_come_back_is_offered_help() -> None:
    async def story() -> None:
        told = Story()
        question = "Trouble signing in with Microsoft?"
        assert question not in (await told.browser.get("/_gate/login")).text
        state = await told.out()
        page = await told.browser.get("/_gate/login")
        assert question in page.text
        for number in ("AADSTS700016", "AADSTS50011", "AADSTS50126"):
            assert number in page.text
        await told.back(state, error="access_denied")
        assert question not in (await told.browser.get("/_gate/login")).text, "this way back had its own page"

    run(story)


def test_other_providers_errors_are_not_called_microsofts() -> None:
    async def story() -> None:
        told = Story(entry(FakeProvider("okta", "Okta")))
        await told.browser.get("/_gate/sso/okta")
        page = await told.browser.get("/_gate/login")
        assert "Trouble signing in with Okta?" in page.text and "AADSTS" not in page.text

    run(story)


def test_without_local_passwords_nothing_about_them_is_shown_or_accepted() -> None:
    async def story() -> None:
        told = Story(local_passwords=False)
        page = await told.browser.get("/_gate/login")
        assert page.status_code == 200 and "Sign in with Microsoft" in page.text
        assert "<form" not in page.text and "forgot" not in page.text and 'class="or"' not in page.text
        login = {"login": ADA.login, "password": "seven green lanterns hum", "csrf": "x"}
        assert (await told.browser.post("/_gate/login", login)).status_code == 405
        assert told.house.sign_in.asked == []
        for path in ("forgot", "reset?token=mailed-token", "invite?token=mailed-token", "password", "setup"):
            assert (await told.browser.get(f"/_gate/{path}")).status_code == 404, path
            assert (await told.browser.post(f"/_gate/{path}", {})).status_code == 404, path
        assert (await told.browser.get("/.well-known/change-password")).status_code == 404
        assert (await told.back(await told.out())).status_code == 303
        assert "password" not in (await told.browser.get("/_gate/account")).text.lower()

    run(story)


def test_signing_out_goes_on_to_the_provider_where_that_is_wanted() -> None:
    async def story() -> None:
        for sign_out in (True, False):
            provider = FakeProvider()
            told = Story(entry(provider, sign_out=sign_out))
            await told.back(await told.out())
            early = await told.browser.get(f"{PLACE}/sign-out")
            assert early.headers["location"] == "/_gate/signed-out", "nobody is signed out there alone"
            answer = await signs_out(told.browser)
            assert answer.headers["location"] == "/_gate/signed-out" + ("?from=microsoft" if sign_out else "")
            page = await told.browser.get(answer.headers["location"])
            refresh = '<meta http-equiv="refresh" content="0; url=/_gate/sso/microsoft/sign-out">'
            assert (refresh in page.text) == sign_out
            asked = await told.browser.get("/_gate/signed-out?from=microsoft")
            assert (refresh in asked.text) == sign_out
            there = (await told.browser.get(f"{PLACE}/sign-out")).headers["location"]
            done = urlencode({"post_logout_redirect_uri": f"{ORIGIN}/_gate/signed-out"})
            assert there == (f"https://login.example/logout?{done}" if sign_out else "/_gate/signed-out")
            foreign = await told.browser.get(f"{PLACE}/sign-out", sec_fetch_site="cross-site")
            assert foreign.headers["location"] == "/_gate/signed-out"

    run(story)


def test_who_signed_in_with_a_password_is_not_sent_to_a_provider_to_sign_out() -> None:
    async def story() -> None:
        told = Story(entry(sign_out=True))
        await told.browser.sign_in()
        assert (await signs_out(told.browser)).headers["location"] == "/_gate/signed-out"

    run(story)


async def signs_out(browser: Browser) -> httpx.Response:
    page = await browser.get("/_gate/logout")
    field = re.search(r'name="csrf" value="([^"]*)"', page.text)
    assert field is not None
    return await browser.post("/_gate/logout", {"csrf": field[1]})


def title(answer: httpx.Response) -> str:
    found = re.search(r"<h1>(.*?)</h1>", answer.text)
    assert found is not None, answer.text
    return found[1]


def worded(text: str) -> str:
    return text.replace("{provider}", "Microsoft")


def plain(answer: httpx.Response) -> str:
    return answer.text.replace("&#39;", "'").replace("&amp;", "&")
