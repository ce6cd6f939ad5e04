"""One identity provider for all tests, with a new directory for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.idp.directory import Directory
from tests.idp.server import Idp, serving
from tests.providers.support import REDIRECT


@pytest.fixture(scope="session")
def running() -> Iterator[Idp]:
    with serving() as idp:
        yield idp


@pytest.fixture
def idp(running: Idp) -> Idp:
    """Knows one application ("Web", with a secret) and one person, and does nothing wrong."""
    running.directory.__dict__.update(Directory().__dict__)
    running.directory.registrations[0].redirect_uris.add(REDIRECT)
    return running
