"""Whoever an identity provider vouches for: found by name once, by the subject from then on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gatekeeper.accounts import rows
from gatekeeper.accounts.errors import InvalidCredentials
from gatekeeper.accounts.federation import Federation, FederationRefused, ProviderPolicy, unlink
from gatekeeper.core.session import UserRecord
from gatekeeper.providers.protocol import Claims
from gatekeeper.storage import tables
from tests.accounts.support import BY, LOGIN, World, tell

SUBJECT = "11111111-2222-3333-4444-555555555555:aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
OTHER_SUBJECT = "11111111-2222-3333-4444-555555555555:99999999-bbbb-cccc-dddd-eeeeeeeeeeee"
PAT = Claims("microsoft", SUBJECT, LOGIN, name="Pat Example", email=LOGIN)


def federation(world: World, **policy: Any) -> Federation:
    policies = {"microsoft": ProviderPolicy(**policy)} if policy else {}
    return Federation(world.db, world.users, world.lockout, world.audit, lambda: world.now, policies=policies)


async def refused(world: World, claims: Claims, **policy: Any) -> str:
    with pytest.raises(FederationRefused) as caught:
        await federation(world, **policy).sign_in(claims, client="192.0.2.7", request_id="req-1")
    return caught.value.reason


async def events(world: World, kind: str) -> list[dict[str, Any]]:
    return [row for row in await world.rows(tables.audit_events) if row["kind"] == kind]


def test_the_first_sign_in_binds_and_the_next_ones_need_no_name(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        user = await federation(world).sign_in(
            PAT._replace(login=" PAT@Example.COM "), client="192.0.2.7", request_id="req-1"
        )
        assert user == pat
        (bound,) = await world.rows(tables.identities)
        assert (bound["provider"], bound["subject"], bound["user_id"]) == ("microsoft", SUBJECT, pat.id)

        world.now += 60
        married = await federation(world).sign_in(PAT._replace(login="pat.other@example.com"))
        assert married.id == pat.id, "a new name at the provider is still the same person"
        (bound,) = await world.rows(tables.identities)
        assert (bound["name"], bound["last_used_at"]) == ("pat.other@example.com", world.now)

        (first, second) = await events(world, "sign_in.identity_accepted")
        assert first["user_id"] == second["user_id"] == pat.id
        assert (first["actor"], first["client"], first["request_id"]) == (
            "idp:microsoft",
            "192.0.2.7",
            "req-1",
        )
        assert first["details"]["provider"] == "microsoft"
        (binding,) = await events(world, "identity.bound")
        assert binding["details"]["subject"] == SUBJECT

    tell(tmp_path, story)


def test_a_name_given_to_somebody_else_does_not_inherit_the_account(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        await federation(world).sign_in(PAT)
        assert await refused(world, PAT._replace(subject=OTHER_SUBJECT)) == "other_person"
        (bound,) = await world.rows(tables.identities)
        assert bound["subject"] == SUBJECT
        (failed,) = await events(world, "sign_in.failed")
        assert failed["user_id"] == pat.id
        assert failed["details"] == {
            "provider": "microsoft",
            "principal": LOGIN,
            "subject": OTHER_SUBJECT,
            "reason": "other_person",
        }

    tell(tmp_path, story)


def test_each_provider_has_a_binding_of_its_own(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        for provider in ("microsoft", "okta"):
            found = await federation(world).sign_in(PAT._replace(provider=provider, subject="00u1"))
            assert found.id == pat.id
        assert len(await world.rows(tables.identities)) == 2
        await world.users.add("kim@example.com", by=BY)
        kim = await federation(world).sign_in(Claims("okta", "00u2", "kim@example.com"))
        assert kim.id != pat.id

    tell(tmp_path, story)


@pytest.mark.parametrize(
    ("login", "claimed"),
    [
        (LOGIN, "nobody@example.com"),
        (LOGIN, ""),
        (LOGIN, "x" * 5000),
        (LOGIN, "pat@example.com\n"[:-1] + "\x00"),
        (LOGIN, "ｐａｔ@example.com"),  # fullwidth letters: one login with pat@ where people type it
        ("kim@example.com", "\u212aim@example.com"),  # the Kelvin sign
        ("seán@example.com", "ſeán@example.com"),  # a long s
    ],
)
def test_nobody_is_found_by_another_name(tmp_path: Path, login: str, claimed: str) -> None:
    async def story(world: World) -> None:
        await world.users.add(login, by=BY)
        assert await refused(world, PAT._replace(login=claimed)) == "unknown_user"
        assert await refused(world, PAT._replace(login=claimed), provision=False) == "unknown_user"
        assert await world.rows(tables.identities) == []
        (failed, _) = await events(world, "sign_in.failed")
        assert (failed["user_id"], failed["login"]) == (None, "")

    tell(tmp_path, story)


def test_a_login_with_accents_is_found_in_both_normal_forms(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        user = await world.users.add("se\u00e1n@example.com", by=BY)
        assert (await federation(world).sign_in(PAT._replace(login="Sea\u0301n@example.com"))).id == user.id

    tell(tmp_path, story)


@pytest.mark.parametrize("subject", ["", "s" * 256])
def test_without_a_subject_there_is_nothing_to_bind(tmp_path: Path, subject: str) -> None:
    async def story(world: World) -> None:
        await world.pat()
        assert await refused(world, PAT._replace(subject=subject)) == "unknown_user"

    tell(tmp_path, story)


@pytest.mark.parametrize("bound", [True, False])
def test_a_closed_account_stays_closed(tmp_path: Path, bound: bool) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        if bound:
            await federation(world).sign_in(PAT)
        await world.users.set_disabled(pat.id, True, by=BY)
        assert await refused(world, PAT) == "disabled"
        assert len(await world.rows(tables.identities)) == bound, "a refusal binds nobody"

    tell(tmp_path, story)


def test_a_locked_account_is_locked_here_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        device = await world.complete(pat)
        for _ in range(5):
            with pytest.raises(InvalidCredentials):
                await world.sign_in.password(LOGIN, "not the password")
        assert await refused(world, PAT) == "locked"
        known = await federation(world).sign_in(PAT, device=device)
        assert known.id == pat.id, "strangers lock nobody out of a browser that is known"

    tell(tmp_path, story)


def test_people_are_made_only_where_the_operator_wants_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await refused(world, PAT) == "unknown_user"
        made = await federation(world, provision=True).sign_in(PAT._replace(email="not an address"))
        assert (made.login, made.name, made.email, made.roles) == (LOGIN, "Pat Example", "", ())
        (row,) = await world.rows(tables.users)
        assert row["password_hash"] is None
        assert (await events(world, "user.added"))[0]["actor"] == "idp:microsoft"
        assert (await federation(world).sign_in(PAT)).id == made.id

    tell(tmp_path, story)


def test_with_a_mapping_an_account_is_made_for_whoever_gets_a_role(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        mapping: dict[str, Any] = {"provision": True, "managed_roles": frozenset({"clerk", "audit"})}
        assert await refused(world, PAT, **mapping) == "no_role"
        incomplete = PAT._replace(groups_complete=False, roles=frozenset({"clerk"}))
        assert await refused(world, incomplete, **mapping) == "groups_incomplete"
        assert await world.rows(tables.users) == []
        made = await federation(world, **mapping).sign_in(PAT._replace(roles=frozenset({"clerk"})))
        assert made.roles == ("clerk",)

    tell(tmp_path, story)


def test_the_roles_of_the_mapping_follow_the_provider_and_no_others_do(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat(roles=["audit", "key-holder"])
        mapping: dict[str, Any] = {"managed_roles": frozenset({"clerk", "audit"})}
        claims = PAT._replace(roles=frozenset({"clerk", "not-in-the-mapping"}))
        assert (await federation(world, **mapping).sign_in(claims)).roles == ("clerk", "key-holder")
        assert (await world.users.get(pat.id)) == pat._replace(roles=("clerk", "key-holder"))
        (changed,) = await events(world, "user.roles_changed")
        assert changed["details"] == {"before": ["audit", "key-holder"], "after": ["clerk", "key-holder"]}

        assert (await federation(world).sign_in(PAT)).roles == ("clerk", "key-holder"), (
            "no mapping, no change"
        )
        assert await refused(world, PAT._replace(groups_complete=False), **mapping) == "groups_incomplete"
        assert (await federation(world, **mapping).sign_in(PAT)).roles == ("key-holder",)

    tell(tmp_path, story)


@pytest.mark.databases
def test_of_two_people_with_one_name_at_once_one_gets_the_account(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.pat()
        subjects = [f"subject-{number}" for number in range(20)]
        outcomes = await asyncio.gather(
            *(federation(world).sign_in(PAT._replace(subject=subject)) for subject in subjects),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, UserRecord) for outcome in outcomes) == 1
        assert {getattr(outcome, "reason", "") for outcome in outcomes} == {"", "other_person"}
        assert len(await world.rows(tables.identities)) == 1

    tell(tmp_path, story)


@pytest.mark.databases
def test_one_person_in_twenty_tabs_is_bound_once_and_let_in_everywhere(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        made = await asyncio.gather(*(federation(world).sign_in(PAT) for _ in range(20)))
        assert {user.id for user in made} == {pat.id}
        assert len(await world.rows(tables.identities)) == len(await events(world, "identity.bound")) == 1

    tell(tmp_path, story)


@pytest.mark.databases
def test_who_is_unlinked_at_this_moment_does_not_come_in_by_the_old_binding(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        await federation(world).sign_in(PAT)
        renamed = PAT._replace(login="nobody@example.com")
        async with asyncio.TaskGroup() as tasks, world.db.begin() as conn:
            await rows.locked_user(conn, pat.id)
            coming = tasks.create_task(refused(world, renamed))
            await asyncio.sleep(0.2)  # it has read the binding, where transactions do not queue
            await unlink(conn, pat, "microsoft", by=BY, audit=world.audit, now=world.now)
        assert coming.result() == "unknown_user"

    tell(tmp_path, story)


@pytest.mark.databases
def test_one_new_person_in_many_tabs_is_one_account(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await asyncio.gather(*(federation(world, provision=True).sign_in(PAT) for _ in range(8)))
        assert len({user.id for user in made}) == 1
        assert len(await world.rows(tables.identities)) == 1

    tell(tmp_path, story)


def test_unlinking_ends_the_sessions_and_lets_another_person_in(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        await federation(world).sign_in(PAT)
        async with world.db.begin() as conn:
            assert await unlink(conn, pat, "okta", by=BY, audit=world.audit, now=world.now) is None
        async with world.db.begin() as conn:
            subject = await unlink(conn, pat, "microsoft", by=BY, audit=world.audit, now=world.now)
        assert subject == SUBJECT
        async with world.db.read() as conn:
            epoch = await conn.scalar(sa.select(tables.users.c.session_epoch))
        assert epoch == pat.session_epoch + 1
        (unbound,) = await events(world, "identity.unbound")
        assert (unbound["actor"], unbound["details"]["subject"]) == (BY.actor, SUBJECT)
        assert (await federation(world).sign_in(PAT._replace(subject=OTHER_SUBJECT))).id == pat.id

    tell(tmp_path, story)


def test_a_deleted_account_takes_its_binding_along(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        pat = await world.pat()
        await federation(world).sign_in(PAT)
        await world.users.delete(pat.id, by=BY)
        assert await world.rows(tables.identities) == []
        assert await refused(world, PAT) == "unknown_user"

    tell(tmp_path, story)
