"""Known browsers: a cookie of ours, for exactly the accounts that were signed in to, planted by nobody."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.accounts import devices
from gatekeeper.storage import tables
from tests.accounts.support import BY, PASSWORD, World, tell


async def knows(w: World, user_id: int, cookie: str | None) -> bool:
    async with w.db.read() as conn:
        return await w.devices.known(conn, user_id, cookie)


async def remember(w: World, user_id: int, cookie: str | None) -> tuple[str, bool]:
    async with w.db.begin() as conn:
        return await w.devices.remember(conn, user_id, cookie, "Firefox")


def test_a_browser_keeps_its_cookie_and_is_new_once(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        cookie, new = await remember(w, pat.id, None)
        assert new and len(cookie) == 43
        assert await remember(w, pat.id, cookie) == (cookie, False)
        assert await knows(w, pat.id, cookie)
        for other in (None, "", cookie[:-1], cookie + "a"):
            assert not await knows(w, pat.id, other)
        assert cookie not in repr(await w.rows(tables.devices))

    tell(tmp_path, story)


def test_a_planted_cookie_is_never_adopted(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        stranger = await w.users.add("stranger@example.com", by=BY, password=PASSWORD)
        theirs, _ = await remember(w, stranger.id, None)
        for planted in ("of my own making", theirs):
            cookie, new = await remember(w, pat.id, planted)
            assert new and cookie != planted
            assert not await knows(w, pat.id, planted)

    tell(tmp_path, story)


def test_two_people_at_one_browser_are_both_known_there(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        sam = await w.users.add("sam@example.com", by=BY, password=PASSWORD)
        first, _ = await remember(w, pat.id, None)
        second, new = await remember(w, sam.id, first)
        assert new
        assert await knows(w, pat.id, second)
        assert await knows(w, sam.id, second)
        assert not await knows(w, pat.id, first)
        assert await remember(w, pat.id, second) == (second, False)

    tell(tmp_path, story)


def test_the_browsers_unused_for_longest_are_forgotten(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        cookies = []
        for _ in range(devices.MAX_PER_USER + 1):
            w.now += 1
            cookies.append((await remember(w, pat.id, None))[0])
        assert not await knows(w, pat.id, cookies[0])
        assert await knows(w, pat.id, cookies[1])
        w.now += devices.COOKIE_LIFETIME
        await remember(w, pat.id, None)
        assert len(await w.rows(tables.devices)) == 1

    tell(tmp_path, story)


def test_trust_is_for_known_browsers_and_for_a_time(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat()
        cookie, _ = await remember(w, pat.id, None)
        async with w.db.begin() as conn:
            assert not await w.devices.trust(conn, pat.id, "another", w.now + 60)
            assert not await w.devices.trusted(conn, pat.id, cookie, w.now)
            assert await w.devices.trust(conn, pat.id, cookie, w.now + 60)
            assert await w.devices.trusted(conn, pat.id, cookie, w.now + 59)
            assert not await w.devices.trusted(conn, pat.id, cookie, w.now + 60)
            await w.devices.forget_all(conn, pat.id)
            assert not await w.devices.trusted(conn, pat.id, cookie, w.now)

    tell(tmp_path, story)


def test_a_new_browser_is_told_by_mail_but_for_the_first_sign_in_ever(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        pat = await w.pat(email="pat@example.com")
        first = await w.complete(pat)
        assert await w.mails("new_device") == []
        await w.complete(pat, first)
        assert await w.mails("new_device") == []
        await w.complete(pat)
        (mail,) = await w.mails("new_device")
        assert (mail["user_agent"], mail["client"]) == ("Firefox", "192.0.2.7")

    tell(tmp_path, story)
