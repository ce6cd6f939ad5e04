"""Files that a configuration names are looked at before anything starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme

from tests.settings.helpers import complaint, complaints, load


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(tmp_path: Path, authority: trustme.CA) -> Path:
    """A folder with ca.pem, cert.pem and key.pem."""
    issued = authority.issue_cert("app.example.com")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    return tmp_path


BOTH = "tls: {cert_file: cert.pem, key_file: key.pem}\n"


def test_a_certificate_and_its_key_are_accepted(tls: Path) -> None:
    settings = load(tls, BOTH)
    assert settings.tls is not None
    assert settings.tls.key_file == tls / "key.pem"


def test_one_without_the_other_is_an_error(tls: Path) -> None:
    assert complaint(tls, "tls: {cert_file: cert.pem}\n").startswith(
        "tls.key_file: is missing: Its private key"
    )
    assert complaint(tls, "tls: {key_file: key.pem}\n").startswith("tls.cert_file: is missing")
    assert len(complaints(tls, "public_url: https://a.example\nupstream: http://a:1\ntls:\n")) == 2


def test_files_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    text = "public_url: https://a.example\nupstream: {url: 'https://a:1', ca_file: no.pem}\n" + BOTH
    text += "branding: {logo_file: no.svg}\ntemplates_dir: none\n"
    found = complaints(tmp_path, text)
    assert [problem.split(": ")[1] for problem in found] == [
        "upstream.ca_file",
        "tls.cert_file",
        "tls.key_file",
        "branding.logo_file",
        "templates_dir",
    ]


def test_a_key_that_others_can_read_is_an_error(tls: Path) -> None:
    (tls / "key.pem").chmod(0o644)
    assert "tls.key_file: key.pem can be read or changed by others (mode 644)" in complaint(tls, BOTH)


def test_a_key_of_another_certificate_is_an_error(tls: Path) -> None:
    trustme.CA().private_key_pem.write_to_path(tls / "key.pem")
    (tls / "key.pem").chmod(0o600)
    assert "certificate and key cannot be used: KEY_VALUES_MISMATCH" in complaint(tls, BOTH)
    (tls / "cert.pem").write_text("nothing")
    assert "certificate and key cannot be used" in complaint(tls, BOTH)


def test_tls_needs_an_https_public_url(tls: Path) -> None:
    text = "public_url: http://localhost\nupstream: http://a:1\n" + BOTH
    assert complaints(tls, text) == [
        "gatekeeper.yaml:3:6: tls: is given, but public_url begins with http://; did you mean https://?"
    ]


def test_an_authority_without_certificates_is_an_error(tls: Path) -> None:
    text = "public_url: https://a.example\nupstream: {url: 'https://a:1', ca_file: ca.pem}\n"
    assert complaints(tls, text) == []
    (tls / "ca.pem").write_text("nothing")
    (found,) = complaints(tls, text)
    assert "upstream.ca_file: ca.pem has no usable certificate" in found


def test_a_logo_is_a_small_picture(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    assert load(tmp_path, "branding: {logo_file: logo.svg}\n").branding.logo_file == tmp_path / "logo.svg"
    (tmp_path / "logo.gif").write_bytes(b"GIF89a")
    assert "must end in .svg" in complaint(tmp_path, "branding: {logo_file: logo.gif}\n")
    (tmp_path / "logo.png").write_bytes(bytes(200_001))
    assert "larger than 200 KB" in complaint(tmp_path, "branding: {logo_file: logo.png}\n")


def test_folders_are_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert (
        complaint(tmp_path, "data_dir: file\n")
        == "data_dir: file cannot be used as a folder: Not a directory"
    )
    assert load(tmp_path, "templates_dir: .\n".replace(".", str(tmp_path))).templates_dir == tmp_path


def test_a_welcome_needs_pictures_that_are_there_and_not_too_heavy(tmp_path: Path) -> None:
    slide = "welcome: [{{title: Hello, text: There., image: {}}}]\n"
    assert "cannot be read" in complaint(tmp_path, slide.format("missing.svg"))
    (tmp_path / "picture.txt").write_text("x")
    assert "must end in .svg" in complaint(tmp_path, slide.format("picture.txt"))
    (tmp_path / "picture.png").write_bytes(b"x" * 500_001)
    assert "is larger than 500 KB" in complaint(tmp_path, slide.format("picture.png"))
    (tmp_path / "picture.png").write_bytes(b"x")
    assert load(tmp_path, slide.format("picture.png")).welcome[0].image == tmp_path / "picture.png"


@pytest.mark.parametrize("key", ["data_dir", "mail.to_directory"])
def test_a_folder_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (tmp_path / "file").touch()
    more = "data_dir: {}\n" if key == "data_dir" else "mail: {{from: a@example.com, to_directory: {}}}\n"
    assert complaint(tmp_path, more.format("file/a/b")) == (
        f"{key}: file/a/b cannot be created: file is no folder"
    )
    (tmp_path / "closed").mkdir()
    allowed = os.access  # root may write everywhere
    monkeypatch.setattr(
        os, "access", lambda path, *a, **k: path != tmp_path / "closed" and allowed(path, *a, **k)
    )
    assert f"{key}: closed/a cannot be created: closed cannot be written by" in complaint(
        tmp_path, more.format("closed/a")
    )
    assert f"{key}: closed cannot be written by" in complaint(tmp_path, more.format("closed"))
