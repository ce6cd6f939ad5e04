"""The services of accounts for commands: made from the configuration, closed afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from gatekeeper.accounts.devices import Devices
from gatekeeper.accounts.errors import AccountError
from gatekeeper.accounts.hashing import PasswordHasher
from gatekeeper.accounts.lockout import Lockout, LockoutPolicy
from gatekeeper.accounts.rates import Rates
from gatekeeper.accounts.users import Users
from gatekeeper.build.mail import make_links, make_outbox
from gatekeeper.build.passwords import PasswordServices
from gatekeeper.cli.common import audit_log, with_database
from gatekeeper.core.session import UserRecord
from gatekeeper.settings import Settings
from gatekeeper.storage.engine import Database

T = TypeVar("T")


class Accounts:
    """What a command about accounts may need."""

    def __init__(self, settings: Settings, db: Database, hasher: PasswordHasher) -> None:
        audit = audit_log(db, time.time)
        outbox, links = make_outbox(settings, db, time.time), make_links(settings)
        policy = LockoutPolicy(settings.lockout.attempts, settings.lockout.unlock_seconds)
        devices = Devices(time.time)
        lockout = Lockout(policy, time.time, devices=devices, audit=audit, outbox=outbox, links=links)
        services = PasswordServices(
            settings,
            db=db,
            hasher=hasher,
            audit=audit,
            outbox=outbox,
            links=links,
            lockout=lockout,
            rates=Rates(audit, time.time, secret=settings.secrets[0].get_secret_value()),
            devices=devices,
            clock=time.time,
        )
        self.settings = settings
        self.users = services.users
        self.changes = services.changes
        self.invitations = services.invitations
        self.expiry = services.expiry


def with_accounts(
    config: Path, work: Callable[[Accounts], Coroutine[Any, Any, T]], *, create: bool = False
) -> T:
    """Run `work` with the services of `config`; an expected error is one line and exit code 1.

    `create` makes the database when there is none; otherwise that is an error.
    """

    async def opened(settings: Settings, db: Database) -> T:
        hasher = PasswordHasher()
        try:
            return await work(Accounts(settings, db, hasher))
        finally:
            hasher.close()

    # What is mailed waits encrypted under the secret, so there must be one from the first command on.
    return with_database(config, opened, create=create, secret=True)


async def existing(users: Users, login: str) -> UserRecord:
    """The account `login`. Raises `AccountError` `unknown_user`."""
    user = await users.find(login)
    if user is None:
        raise AccountError("unknown_user", f"there is no account {login}")
    return user
