"""What a reload would change: rules, other keys, and for whom of those signed in now."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from gatekeeper import __version__
from gatekeeper.accounts import rows
from gatekeeper.accounts.steps import make_next_step
from gatekeeper.build.passwords import make_step_policy
from gatekeeper.build.rehearsal import Difference, Rehearsal, make_examples, without_example
from gatekeeper.build.sessions import close_session_store, make_session_store
from gatekeeper.build.values import make_timeouts
from gatekeeper.cli.common import or_exit, with_database
from gatekeeper.core.session import Session, SessionRecord, UserRecord, ended
from gatekeeper.serving.pidfile import read_pid_file
from gatekeeper.serving.running import read_running
from gatekeeper.settings import Settings
from gatekeeper.settings.comparison import RuleChange, compare_keys, compare_rules
from gatekeeper.settings.load import load_with_source
from gatekeeper.settings.snapshot import Snapshot, read_snapshot, write_snapshot
from gatekeeper.storage.engine import Database

_STORES = ("database", "session.store", "data_dir")


class Person(NamedTuple):
    """Somebody signed in, for whom something changes. One of several sessions is enough for that."""

    login: str
    sessions: int
    signed_out: int
    """How many of the sessions would be over."""
    step: str
    """What would have to be done first in one of them, such as a second factor; "" for nothing."""
    differences: list[Difference]


class Plan(NamedTuple):
    """What was compared, and what came of it."""

    rules: list[RuleChange]
    keys: list[str]
    warnings: list[str]
    examples: int
    sessions: int
    people: int
    affected: list[Person]
    not_signed_in: list[Difference]


class _Live(NamedTuple):
    record: SessionRecord
    user: UserRecord


def make_plan(config: Path, against: Path | None, more: Sequence[str]) -> Plan:
    """Compare `config` with what runs, or with the file `against`. `more` are paths to ask for as well.

    Raises ClickException when there is nothing to compare with.
    """
    real, source = or_exit(lambda: load_with_source(config, os.environ, create=False))
    secrets = [secret.get_secret_value() for secret in real.secrets]
    if not secrets:
        raise click.ClickException(f"no secret in {real.data_dir} yet: nothing was ever served from there")
    new = read_snapshot(write_snapshot(source, secrets[0], version=__version__), secrets)
    old = _before(real, secrets, against)
    if old.key and old.key != secrets[0]:  # the same secrets, with the fingerprints that the old ones have
        new = read_snapshot(write_snapshot(source, old.key, version=__version__), secrets)
    keys = compare_keys(old.settings, new.settings, secrets=bool(old.key))
    examples, left = make_examples(old.settings, new.settings, more)
    rehearsal = Rehearsal(old.settings, new.settings, examples)
    now = time.time()
    moved = [key for key in keys if key in _STORES]
    live = [] if moved else with_database(config, _alive)
    warnings = _warnings(old, new, left, moved)
    affected, sessions, people = _compare(live, old, new, rehearsal, now)
    return Plan(
        compare_rules(old.settings, new.settings),
        keys,
        warnings,
        len(examples),
        sessions,
        people,
        affected,
        rehearsal.compare(None, None, now),
    )


def _before(real: Settings, secrets: list[str], against: Path | None) -> Snapshot:
    if against is not None:
        then, source = or_exit(lambda: load_with_source(against, os.environ, create=False, serving=False))
        signed = then.secrets[0].get_secret_value() if then.secrets else secrets[0]
        return read_snapshot(write_snapshot(source, signed, version=__version__), secrets)
    try:
        running = read_pid_file(real.data_dir)
        text = read_running(real.data_dir) if running is not None else None
    except OSError as error:
        raise click.ClickException(
            f"{real.data_dir}: {error.strerror}: run this as Gatekeeper's user"
        ) from error
    if text is None:
        raise click.ClickException(
            f"no `gatekeeper serve` runs with the data_dir {real.data_dir}: name the file to compare with, "
            "as in --against gatekeeper.yaml.old"
        )
    try:
        return read_snapshot(text, secrets)
    except ValueError as error:
        raise click.ClickException(
            f"the running configuration cannot be read: {error}; --against FILE compares with a file"
        ) from error


def _warnings(old: Snapshot, new: Snapshot, left: int, moved: list[str]) -> list[str]:
    found = []
    if not old.key:
        found.append(
            "the secret that signs now is not in the new configuration: everybody is signed out (put the new "
            "one behind it first), and other secrets could not be compared"
        )
    if moved:
        found.append(
            f"{', '.join(moved)}: sessions are looked for elsewhere then, and everybody is signed out unless "
            "they are there as well; nobody's sessions were compared"
        )
    if "data_dir" in moved:
        found.append("data_dir cannot be changed by a reload: restart for that")
    if old.variables != new.variables:
        names = sorted(set(old.variables) ^ set(new.variables))
        found.append(
            f"{', '.join(names)}: not set alike here and for the running process, which keeps its own "
            "variables at a reload"
        )
    if rules := {*without_example(old.settings), *without_example(new.settings)}:
        patterns = ", ".join(sorted(rule.path_regex or "" for rule in rules))
        found.append(f"no example was made for the regular expression {patterns}: add some with --path")
    if left:
        found.append(f"{left} more combinations of path, method, host and client were not asked for")
    return found


async def _alive(settings: Settings, db: Database) -> list[_Live]:
    """Sessions that no revocation has ended, of accounts that may sign in."""
    store = make_session_store(settings, db)
    users: dict[int, UserRecord | None] = {}
    found = []
    try:
        for record in await store.list():
            if record.user_id not in users:
                async with db.read() as conn:
                    users[record.user_id] = await rows.read_user(conn, user_id=record.user_id)
            user = users[record.user_id]
            if user is not None and not user.disabled and record.epoch >= user.session_epoch:
                found.append(_Live(record, user))
    finally:
        await close_session_store(store)
    return found


def _compare(
    live: list[_Live], old: Snapshot, new: Snapshot, rehearsal: Rehearsal, now: float
) -> tuple[list[Person], int, int]:
    people: dict[int, Person] = {}
    sessions = 0
    for one in live:
        before = _session(one, old.settings, now)
        if before is None or before.step:
            continue  # over, or half-finished: nobody is signed in there
        sessions += 1
        after = _session(one, new.settings, now) if old.key else None
        user = one.user
        known = people.get(user.id, Person(user.login, 0, 0, "", []))
        fresh = [each for each in rehearsal.compare(before, after, now) if each not in known.differences]
        people[user.id] = known._replace(
            sessions=known.sessions + 1,
            signed_out=known.signed_out + (after is None),
            step=known.step or (after.step if after is not None else ""),
            differences=known.differences + (fresh if after is not None else []),
        )
    affected = [each for each in people.values() if each.signed_out or each.step or each.differences]
    return sorted(affected, key=lambda each: each.login), sessions, len(people)


def _session(one: _Live, settings: Settings, now: float) -> Session | None:
    """The session as these settings see it; None when it is over."""
    step = make_next_step(make_step_policy(settings))(one.record, one.user)
    if ended(one.record, make_timeouts(settings), now, complete=not step) is not None:
        return None
    return Session(one.record, one.user, step, ())
