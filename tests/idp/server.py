"""The identity provider behind TLS, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import trustme
import uvicorn

from tests.idp.app import EntraId
from tests.idp.directory import PASSWORD, TENANT, Directory

_START = 20.0


@cache
def authority() -> trustme.CA:
    """Who signs the certificate; the same for a whole process."""
    return trustme.CA()


class Idp:
    """A running identity provider."""

    def __init__(self, directory: Directory, port: int, ca_file: Path) -> None:
        self.directory = directory
        self.authority = f"https://127.0.0.1:{port}"
        self.ca_file = ca_file

    @property
    def issuer(self) -> str:
        """As an OpenID Connect provider with one tenant."""
        return f"{self.authority}/{TENANT}/v2.0"

    def sign_in(
        self, address: str, login: str = "pat@example.com", password: str = PASSWORD
    ) -> httpx.Response:
        """Fill in the form as a browser does; the answer is a redirect, or a page that stays there."""
        with httpx.Client(verify=authority_context(self.ca_file), trust_env=False) as browser:
            page = browser.get(address)
            if page.status_code != 200:
                return page
            return browser.post(address, data={"loginfmt": login, "passwd": password, "do": "sign_in"})

    def callback(self, address: str, login: str = "pat@example.com", password: str = PASSWORD) -> bytes:
        """The query that the browser brings back from there."""
        answer = self.sign_in(address, login, password)
        assert answer.status_code == 302, answer.text
        return urlsplit(answer.headers["location"]).query.encode()


def authority_context(ca_file: Path) -> ssl.SSLContext:
    """TLS that trusts this authority alone."""
    return ssl.create_default_context(cafile=str(ca_file))


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.settled.set()


@contextlib.contextmanager
def serving(directory: Directory | None = None) -> Iterator[Idp]:
    """An identity provider on a free port of this machine while the block runs."""
    entra = EntraId(directory or Directory())
    certificate = authority().issue_cert("127.0.0.1", "localhost")
    with tempfile.TemporaryDirectory(prefix="idp-") as folder, socket.socket() as listener:
        place = Path(folder)
        ca_file, chain, key = place / "ca.pem", place / "chain.pem", place / "key.pem"
        authority().cert_pem.write_to_path(str(ca_file))
        chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(str(key))
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        entra.base = f"https://127.0.0.1:{port}"
        config = uvicorn.Config(
            entra.app,
            ssl_certfile=str(chain),
            ssl_keyfile=str(key),
            log_config=None,
            lifespan="off",
            date_header=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)

        def run() -> None:
            try:
                asyncio.run(server.serve(sockets=[listener]))
            finally:
                server.settled.set()

        thread = threading.Thread(target=run, name="idp", daemon=True)
        thread.start()
        try:
            assert server.settled.wait(_START) and server.started, "the identity provider did not start"
            yield Idp(entra.directory, port, ca_file)
        finally:
            server.should_exit = True
            thread.join(_START)
