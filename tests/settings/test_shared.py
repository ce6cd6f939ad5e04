"""Databases and stores that several nodes share: their addresses, their passwords, one secret for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.settings import Settings, SettingsError, make_settings

SECRET = "the same one on every node: 0123456789abcdef"
POSTGRESQL = "postgresql+psycopg://gatekeeper@db.example.com/gatekeeper"
NEEDED = {"public_url": "https://gate.example.com", "upstream": "http://127.0.0.1:3000"}


def loaded(tmp_path: Path, **data: object) -> Settings:
    return make_settings({**NEEDED, "data_dir": str(tmp_path / "data"), **data}, base=tmp_path)


def problem(tmp_path: Path, **data: object) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, **data)
    return " / ".join(str(each) for each in caught.value.problems)


@pytest.mark.parametrize(
    "data", [{"database": POSTGRESQL}, {"session": {"store": "redis://cache.example.com/0"}}]
)
def test_what_is_shared_needs_a_secret_that_is_not_each_nodes_own(
    tmp_path: Path, data: dict[str, object]
) -> None:
    assert "secret: is missing" in problem(tmp_path, **data)
    assert not (tmp_path / "data/secret").exists()
    assert loaded(tmp_path, secret=SECRET, **data).shared
    assert not loaded(tmp_path, secret=SECRET).shared


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://gatekeeper@db.example.com/x", "postgresql+psycopg://"),
        ("postgresql+psycopg://gatekeeper:canary@db.example.com/x", "database_password_file"),
        ("postgresql+psycopg://db.example.com/x", "must name a user"),
        ("postgresql+psycopg://gatekeeper@db.example.com/", "must name a user"),
        ("postgresql+psycopg://gatekeeper@db.example.com/x?options=-c", "unknown option options"),
        ("postgresql+psycopg://gatekeeper@db.example.com:99999/x", "port"),
    ],
)
def test_an_address_of_a_database_that_cannot_work(tmp_path: Path, url: str, words: str) -> None:
    said = problem(tmp_path, database=url, secret=SECRET)
    assert words in said and "canary" not in said


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://cache.example.com", "must be redis://"),
        ("redis://:canary@cache.example.com/0", "store_password_file"),
        ("redis://cache.example.com/name", "number of a database"),
        ("redis://cache.example.com:99999/0", "port"),
        ("redis+sentinel://a.example.com:26379,b.example.com:26379", "name of the service"),
        ("redis+sentinel://a.example.com/main?db=x", "name of the service"),
    ],
)
def test_an_address_of_a_store_that_cannot_work(tmp_path: Path, url: str, words: str) -> None:
    said = problem(tmp_path, session={"store": url}, secret=SECRET)
    assert words in said and "canary" not in said


def test_passwords_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    for name in ("database", "store"):
        (tmp_path / name).write_text(f"canary {name}\n")
        (tmp_path / name).chmod(0o600)
    settings = loaded(
        tmp_path,
        secret=SECRET,
        database=POSTGRESQL,
        database_password_file="database",
        session={
            "store": "redis+sentinel://a.example.com:26379,b.example.com:26379/main?db=2",
            "store_password_file": "store",
        },
    )
    assert settings.database_password is not None and settings.session.store_password is not None
    assert settings.database_password.get_secret_value() == "canary database"
    assert settings.session.store_password.get_secret_value() == "canary store"
    assert "canary" not in repr(settings)
    (tmp_path / "database").chmod(0o644)
    said = problem(tmp_path, secret=SECRET, database=POSTGRESQL, database_password_file="database")
    assert "read or changed by others" in said


def test_a_password_without_anything_that_asks_for_it(tmp_path: Path) -> None:
    assert "which has none" in problem(tmp_path, database_password="canary")
    assert "there is no store" in problem(tmp_path, session={"store_password": "canary"})
