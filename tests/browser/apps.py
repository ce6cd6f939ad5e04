"""The applications that the walk is done in front of. None of them knows of Gatekeeper.

Each says where it listens, which address a person works at (with a query and a fragment, to come back to),
and what using it looks like. Two are third-party applications as published, installed in `.venv-apps`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, expect

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving

THIRD_PARTY = Path(__file__).resolve().parents[2] / ".venv-apps" / "bin"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Application:
    """One application and what a person does in it."""

    name: str
    serve: Callable[[Path], AbstractContextManager[int]]
    """Gives the loopback port while it runs; the folder is its own to write in."""
    place: str
    """Path, query and fragment of the page that the person works at."""
    use: Callable[[Page, str, Path], None]
    """Works in the application, given a page, Gatekeeper's address and a folder to write in."""
    here: Callable[[Page], None]
    """Fails unless the page shows what is at `place`."""
    javascript: bool = True
    """Whether it needs JavaScript itself."""


# The sample application


@contextlib.contextmanager
def _serve_sample(_folder: Path) -> Iterator[int]:
    with serving(make_sample()) as port:
        yield port


def use_sample_forms(page: Page, address: str, folder: Path) -> None:
    """A form, an upload and a download; works without JavaScript."""
    page.goto(f"{address}/")
    expect(page.get_by_text("Good day, Ann Example.")).to_be_visible()
    page.get_by_role("link", name="Orders", exact=True).click()
    page.get_by_role("link", name="New order").click()
    for field, value in {
        "customer": "Tea & Co",
        "article": "Kettle",
        "quantity": "3",
        "price": "19.90",
    }.items():
        page.locator(f"input[name={field}]").fill(value)
    page.get_by_role("button", name="Create order").click()
    expect(page.get_by_text("Tea & Co")).to_be_visible()
    expect(page.get_by_text("59.70")).to_be_visible()

    page.get_by_role("link", name="Documents", exact=True).click()
    content = os.urandom(300_000)
    source = folder / "report.bin"
    source.write_bytes(content)
    page.locator("input[type=file]").set_input_files(source)
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text(hashlib.sha256(content).hexdigest()[:16])).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="report.bin").click()
    assert download.value.path().read_bytes() == content

    page.get_by_role("link", name="Audit", exact=True).click()
    expect(page.get_by_text("uploaded report.bin")).to_be_visible()


def _use_sample(page: Page, address: str, folder: Path) -> None:
    use_sample_forms(page, address, folder)
    page.get_by_role("link", name="Live board").click()
    board = page.locator("#board")
    expect(board).to_contain_text("Hello Ann Example, you are connected.")
    page.locator("#text").fill("good morning")
    page.get_by_role("button", name="Send").click()
    expect(board).to_contain_text("Ann Example: good morning")


def _at_sample_orders(page: Page) -> None:
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()
    assert page.locator("input[name=q]").input_value() == "lamp & co"


SAMPLE = Application(
    "sample",
    _serve_sample,
    "/orders?q=lamp+%26+co&status=#found",
    _use_sample,
    _at_sample_orders,
    javascript=False,
)


# Datasette


@contextlib.contextmanager
def _serve_datasette(folder: Path) -> Iterator[int]:
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as db:
        db.execute("create table orders (id integer primary key, customer text, status text)")
        rows = [(f"Customer {n}", "open" if n % 2 else "shipped") for n in range(250)]
        db.executemany("insert into orders (customer, status) values (?, ?)", rows)
        db.commit()
    with program(folder, "datasette", "serve", "shop.db", "--host", "127.0.0.1", "--port", "{port}") as port:
        yield port


def _use_datasette(page: Page, address: str, _folder: Path) -> None:
    page.goto(f"{address}/")
    page.get_by_role("link", name="orders", exact=True).first.click()
    page.locator("select[name=_filter_column]").select_option("customer")
    page.locator("input[name=_filter_value]").fill("Customer 7")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name='1 row where customer = "Customer 7"')).to_be_visible()

    page.goto(f"{address}/shop/orders?status=open#export")
    page.locator("#export input[name=_dl]").check()
    with page.expect_download() as download:
        page.locator("#export").get_by_role("button", name="Export CSV").click()
    assert "Customer 7,open" in download.value.path().read_text()

    page.goto(f"{address}/shop?sql=select+count(*)+as+all_of_them+from+orders")
    expect(page.get_by_role("cell", name="250")).to_be_visible()


def _at_datasette_table(page: Page) -> None:
    expect(page.get_by_role("heading", name='125 rows where status = "open" sorted by id')).to_be_visible()


DATASETTE = Application(
    "datasette",
    _serve_datasette,
    "/shop/orders?status=open&_sort=id#export",
    _use_datasette,
    _at_datasette_table,
)


# Marimo: everything it shows comes over its WebSocket

NOTEBOOK = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    name = mo.ui.text(label="Your name", value="nobody")
    name
    return mo, name


@app.cell
def _(mo, name):
    mo.md(f"Greetings, {name.value}!")
    return
"""


@contextlib.contextmanager
def _serve_marimo(folder: Path) -> Iterator[int]:
    (folder / "notebook.py").write_text(NOTEBOOK)
    options = ("--host", "127.0.0.1", "--port", "{port}", "--headless", "--no-token")
    with program(folder, "marimo", "run", "notebook.py", *options) as port:
        yield port


def _use_marimo(page: Page, address: str, _folder: Path) -> None:
    with page.expect_websocket() as socket:
        page.goto(f"{address}/")
    assert socket.value.url.startswith(address.replace("http", "ws", 1))
    expect(page.get_by_text("Greetings, nobody!")).to_be_visible(timeout=30_000)
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Your name").press("Enter")
    expect(page.get_by_text("Greetings, Ann!")).to_be_visible(timeout=10_000)


def _at_marimo(page: Page) -> None:
    expect(page.get_by_label("Your name")).to_be_visible(timeout=30_000)


MARIMO = Application("marimo", _serve_marimo, "/?view=1#top", _use_marimo, _at_marimo)

ALL = (SAMPLE, DATASETTE, MARIMO)


# Running other people's programs


@contextlib.contextmanager
def program(folder: Path, name: str, *arguments: str) -> Iterator[int]:
    """Run a program of `.venv-apps` in `folder` while the block runs; `{port}` becomes a free port."""
    executable = THIRD_PARTY / name
    assert executable.exists(), f"{executable} is missing: ./run test installs it"
    port = _free_port()
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [executable, *(argument.format(port=port) for argument in arguments)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for(process, port, folder / f"{name}.log")
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise AssertionError(f"it does not answer on port {port}:\n{log.read_text(errors='replace')}")
