"""`microsoft` and `oidc`: what cannot work is said before anybody presses the button."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.build.providers import make_providers, redirect_uris
from gatekeeper.settings import SettingsError, load_settings
from tests.settings.helpers import NEEDED, complaint, load, write

ID = "8d3b0c6e-0f5a-4a8e-9d52-2f1c7f5b3a10"
MICROSOFT = f"microsoft: {{client_id: {ID}%s}}\n"
OIDC = "oidc: [{name: idp, issuer: 'https://id.example.com/x', client_id: gate%s}]\n"


def test_a_client_id_is_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, MICROSOFT % "")
    assert settings.microsoft is not None
    assert settings.microsoft.tenant == "organizations"
    assert settings.microsoft.real_graph == "https://graph.microsoft.com"
    (provider,) = make_providers(settings, lambda: 0.0)
    assert (provider.name, provider.label) == ("microsoft", "Microsoft")
    assert redirect_uris(settings, "microsoft") == ["https://app.example.com/_gate/sso/microsoft/callback"]


def test_an_issuer_and_a_client_id_are_enough(tmp_path: Path) -> None:
    settings = load(tmp_path, OIDC % "")
    assert settings.oidc[0].scopes == ("openid", "profile", "email")
    (provider,) = make_providers(settings, lambda: 0.0)
    assert (provider.name, provider.label) == ("idp", "idp")


def test_none_is_the_default(tmp_path: Path) -> None:
    assert make_providers(load(tmp_path), lambda: 0.0) == []


@pytest.mark.parametrize(
    ("authority", "graph"),
    [
        ("https://login.microsoftonline.us", "https://graph.microsoft.us"),
        ("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_another_cloud_has_its_own_graph(tmp_path: Path, authority: str, graph: str) -> None:
    microsoft = load(tmp_path, MICROSOFT % f", authority: '{authority}/'").microsoft
    assert microsoft is not None
    assert (microsoft.authority, microsoft.real_graph) == (authority, graph)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("microsoft:\n", "microsoft.client_id: is missing"),
        ("microsoft: {client_id: gate}\n", "microsoft.client_id: must be an id such as"),
        (MICROSOFT % ", client_secret: a, client_secret_file: b", "is given as well as client_secret:"),
        (MICROSOFT % ", client_secret_file: none", "microsoft.client_secret_file: "),
        (
            MICROSOFT % ", client_secret: a, certificate: {cert_file: a, key_file: b}",
            "microsoft.certificate: is given as well as client_secret",
        ),
        (MICROSOFT % ", certificate: {cert_file: a}", "microsoft.certificate.key_file: is missing"),
        (MICROSOFT % ", tenant: consumers", "microsoft.tenant: consumers is for private accounts"),
        (MICROSOFT % ", tenant: 'a b'", "microsoft.tenant: must be the tenant's id"),
        (MICROSOFT % ", tenant: example.com/x", "microsoft.tenant: must be the tenant's id"),
        (
            MICROSOFT % f", tenant: example.com, allowed_tenants: {ID}",
            "microsoft.allowed_tenants: has no effect: only example.com",
        ),
        (MICROSOFT % ", authority: 'http://login.example.com'", "microsoft.authority: must begin with https"),
        (
            MICROSOFT % ", authority: 'https://l.example.com/t'",
            "microsoft.authority: must end after the host",
        ),
        (MICROSOFT % ", prompt: none", "microsoft.prompt: must be"),
        (MICROSOFT % ", roles: [{role: a}]", "microsoft.roles[0]: says nobody who has the role"),
        (
            MICROSOFT % ", roles: [{role: a, app_roles: b}]",
            "microsoft.roles[0].app_roles: would be given by anybody",
        ),
        (MICROSOFT % ", provision: true", "microsoft.provision: would make accounts for anybody"),
        (MICROSOFT % ", read_groups: true", "microsoft.read_groups: has no effect"),
        (MICROSOFT % ", ca_file: none.pem", "microsoft.ca_file: "),
        (MICROSOFT % ", secret: a", "microsoft.secret: there is no such key"),
        (OIDC.replace("idp", "microsoft") % "", "oidc[0].name: microsoft is the name of the section"),
        (OIDC.replace("idp", "Id P") % "", "oidc[0].name: must have letters"),
        (OIDC.replace("https:", "http:") % "", "oidc[0].issuer: must begin with https://"),
        (OIDC.replace("/x", "/x?y") % "", "oidc[0].issuer: must be an address without"),
        (
            OIDC.replace("/x", "/.well-known/openid-configuration") % "",
            "oidc[0].issuer: ends before /.well-known",
        ),
        (OIDC % ", scopes: email", "oidc[0].scopes: must have openid"),
        (OIDC % ", client_secret: a, client_secret_file: b", "oidc[0].client_secret_file: is given as well"),
        (OIDC % ", client_secret_file: none", "oidc[0].client_secret_file: "),
        (OIDC % ", roles: [{role: a, groups: []}]", "oidc[0].roles[0].groups: must not be empty"),
        (
            "oidc: [{name: a, issuer: 'https://a.example.com', client_id: a}, "
            "{name: a, issuer: 'https://b.example.com', client_id: b}]\n",
            "oidc[1].name: a is in the list twice",
        ),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, text)


@pytest.mark.parametrize("chosen", ["tenant: example.com", f"allowed_tenants: {ID}"])
def test_chosen_tenants_may_do_more(tmp_path: Path, chosen: str) -> None:
    text = MICROSOFT % f", {chosen}, provision: true, roles: [{{role: a, app_roles: b}}]"
    assert load(tmp_path, text).microsoft is not None


def test_this_machine_may_be_asked_without_encryption(tmp_path: Path) -> None:
    text = OIDC.replace("https://id.example.com/x", "http://127.0.0.1:3000") % ""
    assert load(tmp_path, text).oidc[0].issuer == "http://127.0.0.1:3000"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MICROSOFT % ", client_secret: canary", "microsoft.client_secret"),
        (OIDC % ", client_secret: canary", "oidc[0].client_secret"),
    ],
)
def test_a_file_with_a_client_secret_in_it_must_be_ours_alone(tmp_path: Path, text: str, key: str) -> None:
    path = write(tmp_path, NEEDED + text, mode=0o644)
    with pytest.raises(SettingsError) as error:
        load_settings(path, {}, create=False)
    (problem,) = error.value.problems
    assert problem.key == key
    assert "canary" not in str(problem)


@pytest.mark.parametrize("text", [MICROSOFT, OIDC])
def test_a_client_secret_may_stand_in_a_file_of_its_own(tmp_path: Path, text: str) -> None:
    secret = tmp_path / "client-secret"
    secret.write_text("canary~secret\n")
    secret.chmod(0o600)
    settings = load(tmp_path, text % ", client_secret_file: client-secret")
    found = settings.microsoft or settings.oidc[0]
    assert found.client_secret is not None
    assert found.client_secret.get_secret_value() == "canary~secret"
    assert "canary" not in repr(settings)
    secret.chmod(0o640)
    assert "can be read or changed by others" in complaint(
        tmp_path, text % ", client_secret_file: client-secret"
    )
