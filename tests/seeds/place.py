"""Gatekeeper with one of the example configurations, its clock, its operator's commands and everybody's mail.

Only what must differ in a test is overridden, by the variables that an operator would use too.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyotp
from click.testing import CliRunner

from gatekeeper.accounts.welcome import Welcomes
from gatekeeper.audit.events import Source
from gatekeeper.build import create_app
from gatekeeper.build.services import Services
from gatekeeper.cli import main
from gatekeeper.core.clock import SteadyClock
from gatekeeper.core.session import UserRecord
from gatekeeper.settings import Settings, load_settings
from tests.browser.gate import MovableClock
from tests.factors.support import SESSION
from tests.seeds.mailbox import Mailbox, mail_server
from tests.stack.whole import Whole, running

CONFIG = Path(__file__).resolve().parents[2] / "config"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
BY = Source("operator")

T = TypeVar("T")


@dataclass
class Place:
    """A running installation."""

    address: str
    """`http://127.0.0.1:port`."""
    settings: Settings
    clock: MovableClock
    mailbox: Mailbox
    config: Path
    environ: Mapping[str, str]
    _whole: Whole

    def call(self, work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine of the services inside the server's event loop."""
        return self._whole.call(work)

    def command(self, *arguments: str) -> str:
        """What the operator types after `gatekeeper`, while the server runs; the output.

        For the beginning of a story: commands live in the real time.
        """
        # In a thread of its own: Playwright's event loop is in ours.
        with ThreadPoolExecutor(1) as thread:
            asked = [*arguments, "--config", str(self.config)]
            done = thread.submit(CliRunner().invoke, main, asked, env=self.environ).result()
        assert done.exit_code == 0, done.output
        self._look_for_mail()
        return done.stdout

    def person(self, login: str, **facts: Any) -> UserRecord:
        """Somebody who is no newcomer: an account as `facts` say, welcomed before."""

        async def add(services: Services) -> UserRecord:
            added = await services.users.add(login, by=BY, **{"email": login, **facts})
            await Welcomes(services.db, self.clock).seen(added.id)
            return added

        return self.call(add)

    def authenticator(self, user: UserRecord) -> pyotp.TOTP:
        """The app of somebody who set up the second factor long ago."""

        async def set_up(services: Services) -> str:
            made = await services.second_factors.begin(user, session=SESSION)
            code = pyotp.TOTP(made.secret).at(int(self.clock()))
            await services.second_factors.confirm(user, code, by=BY, session=SESSION)
            return made.secret

        app = pyotp.TOTP(self.call(set_up))
        self.clock.forward(60)  # that code is used up
        return app

    def code(self, app: pyotp.TOTP) -> str:
        """What the app shows now."""
        return app.at(int(self.clock()))

    def _look_for_mail(self) -> None:
        """Do not wait until the sender looks by itself for mails that other processes posted."""

        async def look(services: Services) -> None:
            for wake in services.outbox._on_post:
                wake()

        self.call(look)


class StillClock(MovableClock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self._start = time.time()

    def __call__(self) -> float:
        return self._start + self._ahead


@contextlib.contextmanager
def place(
    config: Path,
    data_dir: Path,
    upstream_port: int,
    environ: Mapping[str, str] | None = None,
    *,
    clock: MovableClock | None = None,
    steady: bool = False,
) -> Iterator[Place]:
    """The installation of `config` in front of the application while the block runs.

    `steady`: it looks at the clock as Gatekeeper looks at the machine's.
    """
    clock = clock or MovableClock()
    with mail_server() as mailbox, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        data_dir.mkdir(exist_ok=True)
        environ = {
            "GATEKEEPER_PUBLIC_URL": address,
            "GATEKEEPER_UPSTREAM": f"http://127.0.0.1:{upstream_port}",
            "GATEKEEPER_DATA_DIR": str(data_dir),
            "GATEKEEPER_MAIL__SMTP": f'{{"host": "127.0.0.1", "port": {mailbox.port}, "tls": "none"}}',
            "GATEKEEPER_LOG__LEVEL": "warning",
            **(environ or {}),
        }
        settings = load_settings(config, environ)
        with running(create_app(settings, clock=SteadyClock(clock) if steady else clock), listener) as whole:
            yield Place(address, settings, clock, mailbox, config, environ, whole)
