"""`metrics`: an address that only monitoring reaches."""

from __future__ import annotations

import pytest

from gatekeeper.settings import SettingsError, make_settings

NEEDED = {"public_url": "https://app.example.com", "upstream": "http://127.0.0.1:3000"}


@pytest.mark.parametrize("listen", ["127.0.0.1:9464", "[::1]:9464", "10.1.2.3:9464", "unix:/run/m.sock"])
def test_private_addresses_are_taken(listen: str) -> None:
    settings = make_settings({**NEEDED, "metrics": {"listen": listen}}, create=False)
    assert settings.metrics is not None and settings.metrics.listen == listen


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "[::]:9464", "8.8.8.8:9464"])
def test_a_public_address_is_refused_unless_asked_for(listen: str) -> None:
    with pytest.raises(SettingsError, match="may be reached from outside"):
        make_settings({**NEEDED, "metrics": {"listen": listen}}, create=False)
    make_settings({**NEEDED, "metrics": {"listen": listen, "allow_public": True}}, create=False)


def test_it_is_not_where_people_come_in() -> None:
    with pytest.raises(SettingsError, match="metrics need their own"):
        make_settings(
            {**NEEDED, "listen": "127.0.0.1:8080", "metrics": {"listen": "127.0.0.1:8080"}}, create=False
        )
