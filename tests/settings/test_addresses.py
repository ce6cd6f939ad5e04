"""Public address, listening, upstream and trusted proxies."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from gatekeeper.settings.addresses import loops, parse_listen, parse_public_url, parse_upstream_url
from tests.settings.helpers import complaint, complaints, load


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("https://App.Example.com/", "https://app.example.com"),
        ("HTTPS://app.example.com:443", "https://app.example.com"),
        ("https://app.example.com.:8443", "https://app.example.com:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::0001]:8080", "http://[::1]:8080"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_public_url_is_normalised_as_browsers_write_it(text: str, normal: str) -> None:
    assert parse_public_url(text) == normal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app.example.com", "did you mean http://app.example.com?"),
        ("ftp://app.example.com", "must begin with http:// or https://"),
        ("https://app.example.com/base", "must end after the host"),
        ("https://app.example.com?x", "must end after the host"),
        ("https://app.example.com/#x", "must end after the host"),
        ("https://user:pass@app.example.com", "must not hold a user name"),
        ("https://", "not a host name"),
        ("https://:443", "not a host name"),
        ("https://a b.example", "character that an address cannot have"),
        ("https://a.example\\@evil.example", "character that an address cannot have"),
        ("https://app..example", "not a host name"),
        ("https://-app.example", "not a host name"),
        ("https://_app.example", "not a host name"),
        ("https://*.example.com", "not a host name"),
        ("https://app.example:0", "0 is not a port"),
        ("https://app.example:99999", "99999 is not a port"),
        ("https://app.example:", "nothing is not a port"),
        ("https://1.2.3", "not an IPv4 address"),
        ("https://0x7f.1", "not an IPv4 address"),
        ("https://[::1", "is not an address"),
        ("https://[fe80::1%eth0]", "IPv6 address"),
        ("https://::1", "brackets"),
    ],
)
def test_what_is_no_origin_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_public_url(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "127.9.9.9", "[::1]:9", "app.localhost"])
def test_plain_http_is_fine_on_this_machine(tmp_path: Path, host: str) -> None:
    assert complaints(tmp_path, f"public_url: http://{host}\nupstream: http://127.0.0.1:3000\n") == []


@pytest.mark.parametrize(
    "host", ["app.example.com", "10.0.0.1", "localhost.example.com", "[2001:db8::1]", "0.0.0.0"]
)
def test_plain_http_elsewhere_is_an_error_unless_overridden(tmp_path: Path, host: str) -> None:
    text = f"public_url: http://{host}\nupstream: http://127.0.0.1:3000\n"
    (found,) = complaints(tmp_path, text)
    assert (
        f"public_url: plain http sends passwords readable for everybody on the way; did you mean https://{host}?"
        in (found)
    )
    assert complaints(tmp_path, text + "allow_insecure_public_url: true\n") == []


def test_listen_takes_one_or_a_list(tmp_path: Path) -> None:
    assert load(tmp_path, "listen: 0.0.0.0:80\n").listen == ("0.0.0.0:80",)
    settings = load(tmp_path, "listen: ['[::]:80', unix:/run/gk.sock, '127.0.0.1:0']\n")
    assert settings.listen == ("[::]:80", "unix:/run/gk.sock", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("127.0.0.1", "needs a port, such as 127.0.0.1:8080"),
        ("http://127.0.0.1:80", "without http://"),
        ("::1:80", "brackets"),
        ("unix:gk.sock", "unix:/absolute/path.sock"),
        ("unix:/" + "x" * 120, "at most 107 bytes"),
        (":8080", "not a host name"),
        ("256.1.1.1:80", "not an IPv4 address"),
    ],
)
def test_what_is_no_listening_address_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_listen(text)


def test_an_address_is_listened_on_once_and_is_not_its_own_upstream(tmp_path: Path) -> None:
    assert complaint(tmp_path, "listen: ['127.0.0.1:80', '127.0.0.1:80']\n") == (
        "listen[1]: 127.0.0.1:80 is in the list twice"
    )
    assert complaint(tmp_path, "listen: 127.0.0.1:3000\n") == (
        "upstream.url: leads to 127.0.0.1:3000, where Gatekeeper itself listens"
    )


@pytest.mark.parametrize(
    ("listen", "upstream", "expected"),
    [
        ("127.0.0.1:80", "http://127.0.0.1", True),
        ("0.0.0.0:443", "https://localhost", True),
        ("[::]:3000", "http://127.0.0.1:3000", True),
        ("127.0.0.1:3000", "http://localhost:3000", True),
        ("unix:/run/a", "unix:/run/a", True),
        ("127.0.0.1:3000", "http://127.0.0.2:3000", False),
        ("127.0.0.1:3000", "http://127.0.0.1:3001", False),
        ("0.0.0.0:3000", "http://app.internal:3000", False),
        ("unix:/run/a", "unix:/run/b", False),
        ("127.0.0.1:80", "unix:/run/b", False),
    ],
)
def test_a_loop_is_noticed(listen: str, upstream: str, expected: bool) -> None:
    assert loops(listen, upstream) is expected


def test_an_upstream_is_an_origin_or_a_socket() -> None:
    assert parse_upstream_url("HTTP://App:80/") == "http://app"
    assert parse_upstream_url("unix:/run/app.sock") == "unix:/run/app.sock"
    assert parse_upstream_url("unix:///run/app.sock") == "unix:/run/app.sock"
    for text in ("http://app:3000/base", "unix:app.sock", "app:3000", "http://u:p@app"):
        with pytest.raises(ValueError, match=r"must|unix"):
            parse_upstream_url(text)


def test_a_ca_file_needs_https(tmp_path: Path) -> None:
    text = "public_url: https://a.example\nupstream: {url: http://app:1, ca_file: x.pem}\n"
    assert complaints(tmp_path, text) == [
        "gatekeeper.yaml:2:40: upstream.ca_file: is given, but url does not begin with https://"
    ]


def test_trusted_proxies_are_addresses_networks_and_unix(tmp_path: Path) -> None:
    settings = load(
        tmp_path, "trusted_proxies: [10.0.0.0/8, 192.0.2.1, '::1', unix, '::ffff:10.1.0.0/112']\n"
    )
    expected = ("10.0.0.0/8", "192.0.2.1", "::1", "10.1.0.0/16")
    assert settings.proxy_networks == tuple(ip_network(text) for text in expected)
    assert settings.trust_unix
    assert not load(tmp_path, "trusted_proxies: 10.0.0.1\n").trust_unix


@pytest.mark.parametrize(
    "networks",
    [
        "0.0.0.0/0",
        "'::/0'",
        "[0.0.0.0/1, 128.0.0.0/1]",
        "64.0.0.0/2",
        "[10.0.0.0/8, 11.0.0.0/8]",
        "'::ffff:0:0/96'",
    ],
)
def test_trusting_nearly_everybody_is_an_error_unless_overridden(tmp_path: Path, networks: str) -> None:
    assert "wider than any private network" in complaint(tmp_path, f"trusted_proxies: {networks}\n")
    assert load(tmp_path, f"allow_any_proxy: true\ntrusted_proxies: {networks}\n").trusted_proxies


def test_a_network_with_host_bits_is_corrected(tmp_path: Path) -> None:
    said = "trusted_proxies[0]: 10.1.2.3/8 is an address inside a network; did you mean 10.0.0.0/8?"
    assert complaint(tmp_path, "trusted_proxies: 10.1.2.3/8\n") == said
    assert "not an IP address" in complaint(tmp_path, "trusted_proxies: proxy.example.com\n")
