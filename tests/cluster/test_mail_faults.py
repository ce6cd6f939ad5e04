"""The mail server is away while mails are asked for."""

from __future__ import annotations

import time

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.faults import person
from tests.cluster.traffic import until

RETRIED = 100.0
"""Seconds: the first second attempt comes after 60 to 75, and the outbox is looked at every 5."""


@pytest.mark.slow
def test_a_mail_that_could_not_be_sent_is_sent_once_when_the_server_is_back(nodes: Cluster) -> None:
    """Whoever asked for it sees nothing of the outage; three nodes look after one outbox."""

    def mails() -> int:
        return sum(b"eve@example.com" in raw for raw in nodes.mailbox.raw())

    before = mails()
    nodes.smtp.refuse()
    try:
        with person(nodes) as eve:
            assert eve.send("/_gate/forgot", login="eve").status_code in (200, 303)
        until(
            "the first attempt failed",
            lambda: '"attempts": 1' in nodes.operator.run("mail", "queue", "--json"),
            20,
        )
    finally:
        nodes.smtp.resume()
    until("the mail has come", lambda: mails() > before, RETRIED)
    time.sleep(6.0)
    assert mails() == before + 1
