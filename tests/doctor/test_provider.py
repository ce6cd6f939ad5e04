"""What `gatekeeper doctor` finds out about an identity provider before anybody presses the button."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.build.doctor import make_checks
from gatekeeper.doctor.protocol import Level
from gatekeeper.doctor.provider import Examined, ProviderCheck
from gatekeeper.settings import make_settings
from tests.doctor.support import levels, run, texts
from tests.idp.directory import CLIENT_ID, Directory
from tests.idp.server import Idp, serving
from tests.providers.matrix import publishing
from tests.providers.support import ORIGIN, REDIRECT, microsoft, oidc


@pytest.fixture(scope="module")
def running() -> Iterator[Idp]:
    with serving() as idp:
        yield idp


@pytest.fixture
def idp(running: Idp) -> Idp:
    running.directory.__dict__.update(Directory().__dict__)
    running.directory.registrations[0].redirect_uris.add(REDIRECT)
    return running


def test_every_configured_provider_is_examined(tmp_path: Path) -> None:
    data = {
        "public_url": ORIGIN,
        "data_dir": str(tmp_path),
        "microsoft": {"client_id": CLIENT_ID},
        "oidc": [{"name": "staff", "issuer": "https://id.example.com", "client_id": "gate"}],
    }
    checks = make_checks(
        make_settings(data), tmp_path / "gatekeeper.yaml", clock=time.time, descriptors=1_024
    )
    assert [each.name for each in checks][-2:] == ["microsoft", "staff"]


def check(provider: Examined, *more: str) -> ProviderCheck:
    return ProviderCheck(
        provider,
        redirect_uris=[REDIRECT, *more],
        client_id=CLIENT_ID,
        public_url=ORIGIN,
    )


@pytest.mark.parametrize("kind", ["microsoft", "oidc"])
def test_all_is_well(idp: Idp, kind: str) -> None:
    found = run(check(microsoft(idp) if kind == "microsoft" else oidc(idp)))
    assert set(levels(found)) == {Level.OK}
    assert f"the redirect URI to register is {REDIRECT}" in texts(found)
    assert "it knows the client id and the redirect URI" in texts(found)
    assert "publishes 1 usable key" in texts(found)
    assert "its clock agrees" in texts(found)


def test_each_host_has_a_redirect_uri_of_its_own_which_the_provider_must_know(idp: Idp) -> None:
    other = REDIRECT.replace("://", "://wiki.", 1)
    found = run(check(oidc(idp), other))
    for uri in (REDIRECT, other):
        assert f"the redirect URI to register is {uri}" in texts(found)
    assert f"it knows the client id and the redirect URI {REDIRECT}" in texts(found)
    (refused,) = [finding for finding in found if finding.level is Level.FAIL]
    assert f"it refuses this application at {other}" in refused.text
    assert other in refused.advice and REDIRECT not in refused.advice


def test_an_application_that_is_not_registered(idp: Idp) -> None:
    idp.directory.registrations[0].client_id = "another"
    last = run(check(microsoft(idp)))[-1]
    assert last.level is Level.FAIL
    assert "AADSTS700016" in last.text
    assert f"microsoft.client_id ({CLIENT_ID})" in last.advice


def test_a_redirect_uri_that_is_not_registered(idp: Idp) -> None:
    idp.directory.registrations[0].redirect_uris = {f"{ORIGIN}/elsewhere"}
    last = run(check(microsoft(idp)))[-1]
    assert last.level is Level.FAIL
    assert "AADSTS50011" in last.text
    assert f"register exactly {REDIRECT} " in last.advice


@pytest.mark.parametrize(
    ("ahead", "level"), [(25.0, Level.WARN), (-25.0, Level.WARN), (300.0, Level.FAIL), (-300.0, Level.FAIL)]
)
def test_a_clock_that_is_wrong(idp: Idp, ahead: float, level: Level) -> None:
    idp.directory.faults.clock_ahead = ahead
    found = run(check(microsoft(idp)))
    assert [finding.level for finding in found if "its clock" in finding.text] == [level]


def test_a_provider_that_is_down(idp: Idp) -> None:
    idp.directory.faults.silent = {"discovery"}
    last = run(check(microsoft(idp, budget=0.3)))[-1]
    assert last.level is Level.FAIL
    assert "did not answer" in last.text
    assert "firewall" in last.advice


def test_what_it_publishes_is_unusable(idp: Idp) -> None:
    idp.directory.faults.discovery = publishing(issuer="https://attacker.example.com")
    assert "issuer is not the configured one" in texts(run(check(oidc(idp))))
    idp.directory.faults.discovery = None
    idp.directory.faults.jwks = publishing(keys=[])
    assert "no key for signatures" in texts(run(check(oidc(idp))))
