"""A real mail server on a free port, and reading what it was given."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage

from tests.mail.support import Sink

_PATIENCE = 20.0


class Mailbox:
    """Everybody's mail. A mail that was taken out is not found again."""

    def __init__(self, sink: Sink, port: int) -> None:
        self.port = port
        self._sink = sink
        self._taken: set[int] = set()

    def take(self, recipient: str, subject: str) -> EmailMessage:
        """The oldest mail with this subject (a part of it is enough), as soon as it has come."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            for index, mail in enumerate(self._sink.mails):
                if index not in self._taken and recipient in str(mail["To"]) and subject in mail["Subject"]:
                    self._taken.add(index)
                    return mail
            assert time.monotonic() < deadline, f"no mail {subject!r} for {recipient}: {self.subjects()}"
            time.sleep(0.02)

    def subjects(self) -> list[str]:
        """Of all mails that ever came."""
        return [str(mail["Subject"]) for mail in self._sink.mails]

    def raw(self) -> list[bytes]:
        """All mails as they came."""
        return list(self._sink.raw)


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The mail as text, or as `html`."""
    body = mail.get_body((kind,))
    assert body is not None
    content: str = body.get_content()
    return content


def link_in(mail: EmailMessage) -> str:
    """The address of the mail's button."""
    found = re.search(r"https?://\S+/_gate/\S+", text_of(mail))
    assert found is not None, text_of(mail)
    return found[0]


def password_in(mail: EmailMessage) -> str:
    """The generated password in the mail."""
    found = re.search(r"password: (\S+)\s", text_of(mail))
    assert found is not None, text_of(mail)
    return found[1]


@contextlib.contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Listening while the block runs."""
    sink, started, box = Sink(), threading.Event(), list[Mailbox]()
    over: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def listen() -> None:
        stop = asyncio.Event()
        async with sink.listening() as port:
            box.append(Mailbox(sink, port))
            over.append((asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(listen()), name="mail server", daemon=True)
    thread.start()
    assert started.wait(10), "the mail server does not start"
    try:
        yield box[0]
    finally:
        loop, stop = over[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive(), "the mail server does not stop"
