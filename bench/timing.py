"""`python -m bench.timing`: does the time of an answer tell whether an account exists?

Fresh accounts of every kind ask the running server in turn, shuffled in each round, over one loopback
connection. The median of each kind is compared with that of unknown logins. Exit code 1 when a difference
reaches the limit, or when the answers themselves differ.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import sqlalchemy as sa

from bench.processes import cores, free_port, running
from gatekeeper.accounts.hashing import PasswordHasher
from gatekeeper.accounts.tokens import issue, use
from gatekeeper.storage import tables
from gatekeeper.storage.engine import Database

LIMIT = 0.005
"""Seconds by which medians may differ."""
PASSWORD = "four random words here"
KINDS = ("unknown", "known", "locked", "disabled", "password-less")
_ROOT = Path(__file__).resolve().parent.parent
_CONFIG = """\
public_url: http://127.0.0.1:{port}
listen: 127.0.0.1:{port}
upstream: http://127.0.0.1:9
data_dir: {data}
log: {{level: error}}
mail: {{from: gatekeeper@example.com, to_directory: mails}}
rate_limits:
  passwords: {{client: unlimited, account: unlimited, total: unlimited}}
  mails: {{client: unlimited, account: unlimited, total: unlimited}}
"""
_MASKED = re.compile(rb'name="csrf" value="[^"]*"|nonce="[^"]*"|nonce-[\w+/=-]+')


def login_of(kind: str, number: int) -> str:
    """As long for every kind, so that pages and statements are."""
    return f"{kind:-<13}{number:05}@example.com"


async def make_accounts(folder: Path, number: int) -> list[str]:
    """`number` accounts of each kind; as many used unlock tokens."""
    hasher = PasswordHasher()
    db = Database(f"sqlite:///{folder / 'gatekeeper.db'}", data_dir=folder)
    await db.open()
    try:
        now, encoded = time.time(), await hasher.hash(PASSWORD)
        async with db.begin() as conn:
            for kind in KINDS[1:]:
                await conn.execute(
                    sa.insert(tables.users),
                    [
                        {
                            "login": login_of(kind, each),
                            "login_key": login_of(kind, each),
                            "name": "Somebody",
                            "email": login_of(kind, each),
                            "disabled": kind == "disabled",
                            "password_hash": None if kind == "password-less" else encoded,
                            "created_at": now,
                            "failures": 5 if kind == "locked" else 0,
                            "locked_at": now if kind == "locked" else None,
                        }
                        for each in range(number)
                    ],
                )
            ids = (await conn.scalars(sa.select(tables.users.c.id).limit(number))).all()
            used = [await issue(conn, "unlock", user_id=user_id, lifetime=3600.0, now=now) for user_id in ids]
            for token in used:
                await use(conn, "unlock", token, now)
        return used
    finally:
        hasher.close()
        await db.close()


class Browser:
    """One keep-alive connection with its cookies; times what it posts."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": f"http://127.0.0.1:{port}",
        }

    def open(self, path: str) -> str | None:
        """The form's CSRF token, None where there is no such page."""
        self._connection.request("GET", path, headers={"Cookie": self._headers.get("Cookie", "")})
        answer = self._connection.getresponse()
        page = answer.read().decode()
        if cookie := answer.getheader("set-cookie"):
            self._headers["Cookie"] = cookie.split(";")[0]
        found = re.search(r'name="csrf" value="([^"]*)"', page)
        return found[1] if answer.status == 200 and found else None

    def post(self, path: str, form: dict[str, str]) -> tuple[float, tuple[int, bytes]]:
        """Seconds until the whole answer is there, and the answer."""
        body = urlencode(form)
        began = time.perf_counter()
        self._connection.request("POST", path, body, self._headers)
        answer = self._connection.getresponse()
        page = answer.read()
        return time.perf_counter() - began, (answer.status, page)


def measure(
    title: str, kinds: list[str], number: int, ask: Callable[[str, int], tuple[float, tuple[int, bytes]]]
) -> bool:
    """Ask for every kind in shuffled rounds and print the table; whether nothing tells them apart."""
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    answers: set[tuple[int, bytes]] = set()
    for each in range(-5, number):
        for kind in random.sample(kinds, len(kinds)):
            seconds, answer = ask(kind, each)
            if each >= 0:  # the first rounds warm up
                times[kind].append(seconds)
                answers.add(answer)
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    base = medians[kinds[0]]
    print(f"\n{title}: {number} of each kind\n")
    print(f"| {'kind':13} | median, ms | to {kinds[0]}, ms | 10 % under, ms | 90 % under, ms |")
    print("|---|---:|---:|---:|---:|")
    for kind, median in medians.items():
        tenths = statistics.quantiles(times[kind], n=10)
        print(
            f"| {kind:13} | {median * 1e3:.2f} | {(median - base) * 1e3:+.2f} "
            f"| {tenths[0] * 1e3:.2f} | {tenths[-1] * 1e3:.2f} |"
        )
    spread = max(medians.values()) - min(medians.values())
    if len(answers) > 1:
        print("the answers differ")
    print(f"answered with: {', '.join(str(status) for status in sorted({status for status, _ in answers}))}")
    print(f"largest difference of medians: {spread * 1e3:.2f} ms (limit {LIMIT * 1e3:.0f} ms)", flush=True)
    return spread < LIMIT and len(answers) == 1


def _masked(answer: tuple[int, bytes], *words: str) -> tuple[int, bytes]:
    status, page = answer
    for word in words:
        page = page.replace(word.encode(), b"X")
    return status, _MASKED.sub(b"", re.sub(rb"[0-9a-f]{16}", b"", page))


@contextlib.contextmanager
def server(number: int) -> Iterator[tuple[int, list[str]]]:
    """`gatekeeper serve` on fresh accounts; its port and the used unlock tokens."""
    with tempfile.TemporaryDirectory(prefix="gatekeeper-timing-") as name:
        folder, port = Path(name), free_port()
        config = folder / "gatekeeper.yaml"
        config.write_text(_CONFIG.format(port=port, data=folder))
        used = asyncio.run(make_accounts(folder, number))
        command = [sys.executable, "-m", "gatekeeper", "serve", "--config", str(config)]
        with running("Gatekeeper", command, port, core=cores()[0], cwd=_ROOT):
            yield port, used


def run(number: int) -> bool:
    """Every measurement; whether all stay under the limit."""
    fine = True
    with server(number) as (port, used):
        browser = Browser(port)
        csrf = browser.open("/_gate/login")
        if csrf is None:
            raise RuntimeError("the sign-in page has no form")

        def sign_in(kind: str, each: int) -> tuple[float, tuple[int, bytes]]:
            login = login_of(kind if each >= 0 else "unknown", each % 100_000)
            form = {"csrf": csrf, "login": login, "password": "not the password", "next": "/"}
            seconds, answer = browser.post("/_gate/login", form)
            return seconds, _masked(answer, login)

        fine = measure("Sign-in", list(KINDS), number, sign_in) and fine
        if (forgot_csrf := browser.open("/_gate/forgot")) is not None:

            def forgot(kind: str, each: int) -> tuple[float, tuple[int, bytes]]:
                login = login_of(kind if each >= 0 else "unknown", each % 100_000)
                seconds, answer = browser.post("/_gate/forgot", {"csrf": forgot_csrf, "login": login})
                return seconds, _masked(answer, login)

            fine = measure("Forgot password", list(KINDS), number, forgot) and fine
        else:
            print("\nForgot password: there is no such page")
        invented = ["x" * len(token) for token in used]

        def unlock(kind: str, each: int) -> tuple[float, tuple[int, bytes]]:
            token = (invented if kind == "invented link" else used)[each % number]
            seconds, answer = browser.post("/_gate/unlock", {"csrf": csrf, "token": token})
            return seconds, _masked(answer, token)

        if unlock("invented link", 0)[1][0] != 404:
            fine = measure("Unlock", ["invented link", "used link"], number, unlock) and fine
        else:
            print("\nUnlock: there is no such page")
    return fine


def main(arguments: Sequence[str] = ()) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.timing", description=__doc__)
    parser.add_argument("--number", type=int, default=300, help="accounts of each kind")
    chosen = parser.parse_args(arguments)
    return 0 if run(chosen.number) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
