"""Several applications: a name and a place for each, and no two in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gatekeeper.cli import main
from gatekeeper.settings import Settings, SettingsError, load_settings, make_settings
from tests.settings.helpers import complaints, write

HEAD = "public_url: https://office.example.com\n"


def several(*applications: dict[str, Any], **more: Any) -> Settings:
    data = {"public_url": "https://office.example.com", "upstream": list(applications), **more}
    return make_settings(data, create=False)


ORDERS = {"name": "orders", "url": "http://127.0.0.1:3000"}
REPORTS = {"name": "reports", "url": "http://127.0.0.1:3001", "at": "/reports/"}


def test_each_has_its_place_and_the_host_of_public_url_unless_it_names_one() -> None:
    wiki = {
        "name": "wiki",
        "url": "http://127.0.0.1:3002",
        "at": ["WIKI.example.com.:443", "w.example.com:8443/a/b"],
    }
    settings = several(ORDERS, REPORTS, wiki)
    found = {one.name: [str(place) for place in settings.places(one)] for one in settings.applications}
    assert found == {
        "orders": ["office.example.com"],
        "reports": ["office.example.com/reports"],
        "wiki": ["wiki.example.com", "w.example.com:8443/a/b"],
    }
    assert settings.hosts == ("office.example.com", "wiki.example.com", "w.example.com:8443")
    assert settings.upstream_connections == 300


def test_one_application_may_be_a_section_as_ever_and_have_a_place_too() -> None:
    data = {
        "public_url": "https://office.example.com",
        "upstream": {"url": "http://127.0.0.1:1", "at": "/app"},
    }
    settings = make_settings(data, create=False)
    assert [str(place) for place in settings.places(settings.applications[0])] == ["office.example.com/app"]
    bare = make_settings({**data, "upstream": "http://127.0.0.1:1"}, create=False)
    assert [str(place) for place in bare.places(bare.applications[0])] == ["office.example.com"]


@pytest.mark.parametrize(
    ("upstream", "complaint"),
    [
        ("[]", ":2:11: upstream: must not be empty"),
        ("[{url: 'http://a:1'}]", ":2:12: upstream[0]: needs a name, such as orders: it is one of a list"),
        ("[{name: a, url: 'ftp://a'}]", ":2:27: upstream[0].url: must begin with http:// or https://"),
        ("[{name: a}]", ":2:12: upstream[0].url: is missing: the address of the application"),
        (
            "[{name: a, url: 'http://a:1', ulr: b}]",
            "upstream[0].ulr: there is no such key, did you mean url?",
        ),
        (
            "[{name: A_b, url: 'http://a:1'}]",
            "upstream[0].name: must be lower-case letters, digits and hyphens",
        ),
        (
            "[{name: a, url: 'http://a:1'}, {name: a, url: 'http://b:1', at: /b}]",
            "upstream[1].name: a is the name of upstream[0] already",
        ),
        (
            "[{name: a, url: 'http://a:1'}, {name: b, url: 'http://b:1'}]",
            "upstream[1]: office.example.com is taken already, by a",
        ),
        (
            "[{name: a, url: 'http://a:1', at: /x},"
            " {name: b, url: 'http://b:1', at: 'office.example.com:443/x'}]",
            "upstream[1].at: office.example.com/x is taken already, by a",
        ),
        (
            "[{name: a, url: 'http://a:1', at: /x},"
            " {name: b, url: 'http://b:1', at: /X, case_insensitive: true}]",
            "upstream[1].at: office.example.com/X is taken already, by a",
        ),
        (
            "[{name: a, url: 'http://a:1', at: [/x, /x/]}]",
            "upstream[0].at: office.example.com/x is taken twice",
        ),
        (
            "[{name: a, url: 'http://127.0.0.1:8080'}]",
            "upstream[0].url: leads to 127.0.0.1:8080, where Gatekeeper",
        ),
        (
            "[{name: a, url: none}]",
            "upstream[0].url: none leaves it to another proxy to ask: trusted_proxies",
        ),
        (
            "[{name: a, url: 'http://a:1', at: /_gate/x}]",
            "upstream[0].at[0]: is below /_gate, where Gatekeeper's own",
        ),
        ("[{name: a, url: 'http://a:1', at: 'https://a'}]", "upstream[0].at[0]: is written without https://"),
        (
            "[{name: a, url: 'http://a:1', at: /a/../b}]",
            "upstream[0].at[0]: has an empty segment or one of dots alone",
        ),
        (
            "[{name: a, url: 'http://a:1', at: /a%20b}]",
            "upstream[0].at[0]: has `%`: the path is written decoded",
        ),
        ("[{name: a, url: 'http://a:1', at: /a/**}]", "upstream[0].at[0]: has `*`"),
        ("[{name: a, url: 'http://a:1', at: ''}]", "upstream[0].at[0]: is a host, a path, or both"),
        (
            "[{name: a, url: 'http://a:1', rules: [{path: /a, allow: deny}, {path: /a, allow: public}]}]",
            "upstream[0].rules[1]: never decides anything: rules[0] comes first",
        ),
        (
            "[{name: a, url: 'http://a:1', rules: [{path: /a;b, allow: deny}]}]",
            "upstream[0].rules[0].path: has `;`",
        ),
        ("[{name: a, url: 'http://a:1', rules: [{path: /a}]}]", "upstream[0].rules[0].allow: is missing"),
        (
            "{url: 'http://a:1', rules: [{path: a, allow: deny}]}",
            "upstream.rules[0].path: must begin with a slash",
        ),
    ],
)
def test_mistakes_are_told_at_their_own_place(tmp_path: Path, upstream: str, complaint: str) -> None:
    found = complaints(tmp_path, HEAD + f"upstream: {upstream}\n")
    assert len(found) == 1, found
    assert complaint in found[0]


def test_every_mistake_of_every_application_is_told_at_once(tmp_path: Path) -> None:
    upstream = "[{name: a, url: nothing, at: '//x'}, {name: b, url: 'http://b:1', idle_timeout: 5}]"
    found = complaints(tmp_path, HEAD + f"upstream: {upstream}\n")
    assert [line.split(": ")[1] for line in found] == [
        "upstream[0].url",
        "upstream[0].at[0]",
        "upstream[1].idle_timeout",
    ]


def test_a_rule_that_every_application_answers_first_is_refused() -> None:
    everybody = {"rules": [{"allow": "signed_in"}]}
    rules = [{"path": "/x", "allow": "deny"}]
    with pytest.raises(SettingsError, match=r"rules\[0\]: never decides anything: every application"):
        several(ORDERS | everybody, REPORTS | everybody, rules=rules)
    several(ORDERS | everybody, REPORTS, rules=rules)


def test_a_sign_that_one_application_needs_may_be_in_the_common_rules() -> None:
    rules = [{"path": "/x;y", "allow": "deny"}]
    with pytest.raises(SettingsError, match=r"rules\[0\]\.path: has `;`"):
        several(ORDERS, REPORTS, rules=rules)
    several(ORDERS, REPORTS | {"allow_in_path": ";"}, rules=rules)


def test_a_variable_replaces_the_whole_list_or_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "upstream: [{name: a, url: 'http://a:1'}]\n")
    listed = {"GATEKEEPER_UPSTREAM": "[{name: b, url: 'http://b:1'}]"}
    assert [one.name for one in load_settings(path, listed, create=False).applications] == ["b"]
    with pytest.raises(
        SettingsError, match="upstream is a list in the file: a variable can only replace all"
    ):
        load_settings(path, {"GATEKEEPER_UPSTREAM__URL": "http://c:1"}, create=False)


def test_forward_auth_alone_is_said_by_none_for_each() -> None:
    asked = {"trusted_proxies": "127.0.0.1"}
    none = {"url": "none"}
    assert several(ORDERS | none, REPORTS | none, **asked).forward_auth_only
    assert not several(ORDERS | none, REPORTS, **asked).forward_auth_only


def test_check_sums_up_who_is_where(tmp_path: Path) -> None:
    text = """\
        public_url: https://office.example.com
        trusted_proxies: 127.0.0.1
        upstream:
          - {name: orders, url: 'http://127.0.0.1:3000'}
          - {name: reports, at: /reports, url: none, rules: [{allow: {roles: audit}}]}
        """
    result = CliRunner().invoke(main, ["check", "--config", str(write(tmp_path, text))])
    lines = result.stdout.splitlines()
    assert lines[1:3] == [
        "  orders: https://office.example.com -> http://127.0.0.1:3000",
        "  reports: https://office.example.com/reports answered for to the proxy at 127.0.0.1 (forward auth)"
        ", listening on 127.0.0.1:8080",
    ]
    assert "  0 rules, and 1 for reports alone; everything else needs a sign-in" in lines


@pytest.mark.parametrize(
    ("public_url", "domain", "complaint"),
    [
        ("https://office.example.com", "example.com", ""),
        ("https://example.com:8443", ".Example.com.", ""),
        ("https://office.example.com", "office.example.com", "is not above wiki.example.com"),
        ("https://office.example.org", "example.com", "is not above office.example.org"),
        ("https://badexample.com", "example.com", "is not above badexample.com"),
        ("https://office.example.com", "com", "has one label"),
        ("https://office.example.com", "192.0.2.7", "is an address"),
        ("https://office.example.com", "a_.example.com", "a_.example.com is not a host name"),
        ("http://app.localhost", "app.localhost", "is for https alone"),
    ],
)
def test_a_shared_domain_is_above_every_host_and_on_https(
    tmp_path: Path, public_url: str, domain: str, complaint: str
) -> None:
    text = f"public_url: {public_url}\nupstream:\n  - {{name: a, url: 'http://a:1'}}\n"
    if public_url.startswith("https"):
        text += "  - {name: wiki, at: wiki.example.com, url: 'http://b:1'}\n"
    found = complaints(tmp_path, text + f"session: {{cookie_domain: {domain}}}\n")
    if complaint:
        (line,) = found
        assert "session.cookie_domain: " + complaint in line
    else:
        assert found == []
