"""`gatekeeper nginx`: the files of deploy/nginx as one, with the places of one configuration in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from gatekeeper.cli.common import config_option, settings_from
from gatekeeper.settings import Settings
from gatekeeper.settings.addresses import parse_upstream_url
from gatekeeper.settings.identity import IdentitySettings
from gatekeeper.settings.upstream import UpstreamSettings

Mode = Literal["ask", "ask-cached", "hand-over"]

_SITES: dict[Mode, str] = {
    "ask": "auth-request",
    "ask-cached": "auth-request-cached",
    "hand-over": "reverse-proxy",
}
_PACKAGE = Path(__file__).resolve().parent.parent
_INCLUDE = re.compile(r"^( *)include (gatekeeper/[a-z-]+\.conf);\n", re.MULTILINE)
_REDIRECT = re.compile(r"^server \{\n    listen 80;\n.*?^\}\n\n", re.MULTILINE | re.DOTALL)


@click.command()
@config_option
@click.option(
    "--mode",
    type=click.Choice(list(_SITES)),
    default="ask",
    show_default=True,
    help="ask: nginx carries the traffic and asks about each request. ask-cached: it also keeps a yes for a "
    "second. hand-over: nginx hands everything to Gatekeeper, which carries it.",
)
@click.option(
    "--application",
    metavar="URL",
    help="Where the application is, when the configuration has upstream: none.",
)
def nginx(config: Path, mode: Mode, application: str | None) -> None:
    """Print a site for nginx, ready but for the places of the certificate.

    It goes to /etc/nginx/conf.d/ as one file. deploy/nginx has the same in parts, for several sites in one
    nginx.
    """
    settings = settings_from(config)
    try:
        text = render(settings, mode, application)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    for complaint in complaints(settings):
        click.echo(complaint, err=True)
    click.echo(text, nl=False)


def complaints(settings: Settings) -> list[str]:
    """What in the configuration keeps nginx from being believed."""
    _, trusted, name = _listening(settings)
    if trusted:
        return []
    return [f"trusted_proxies must have {name}: until then every question of nginx is refused"]


def render(settings: Settings, mode: Mode, application: str | None = None) -> str:
    """The site. Raises ValueError with what does not fit together."""
    if settings.tls is not None:
        raise ValueError(
            "tls: behind nginx, which ends TLS, let Gatekeeper listen without it on this machine"
        )
    if mode == "hand-over" and settings.forward_auth_only:
        raise ValueError("upstream: none: there is nothing that Gatekeeper could carry; use --mode ask")
    written = _read(f"sites/{_SITES[mode]}.conf")
    if len(settings.hosts) == 1 and (mode == "hand-over" or not _several(settings)):
        site = _single(written, settings, mode, application)
    elif application is not None:
        raise ValueError("--application is for one; several have their addresses in upstream")
    else:
        site = _for_hosts(written, settings, mode)
    common = _once(_read("conf.d/gatekeeper.conf"), "127.0.0.1:8080", _listening(settings)[0])
    parts = [common, site]
    if mode == "ask-cached":
        parts.insert(1, _read("conf.d/gatekeeper-cache.conf"))
    return "\n".join(parts).replace("/_gate", settings.prefix)


def _several(settings: Settings) -> bool:
    """Whether nginx has anything to choose by host or path."""
    return len(settings.applications) > 1 or any(
        place.path != "/" for place in settings.places(settings.applications[0])
    )


def _single(site: str, settings: Settings, mode: Mode, application: str | None) -> str:
    if mode == "hand-over":
        return _with_address(_inlined(site, {}), settings, settings.public_host)
    upstream = _application(settings, application)
    site = _with_application(site, upstream, settings.limits.request_body)
    return _with_address(_inlined(site, _files(settings, upstream)), settings, settings.public_host)


def _for_hosts(written: str, settings: Settings, mode: Mode) -> str:
    """A server for each host, in it a location for each application there."""
    servers = written[written.index("server {\n    listen 80;") :]
    parts = [written[: written.index("\n\n") + 2]]
    for one in settings.applications if mode != "hand-over" else ():
        if not one.forwards:
            raise ValueError(f"upstream: {one.name} has no address that nginx could carry its traffic to")
        place = _placed("    server 127.0.0.1:3000;\n    keepalive 32;\n", one)
        parts.append(f"upstream application_{_word(one)} {{\n{place}}}\n\n")
    for host in settings.hosts:
        server = _inlined(servers, {}) if mode == "hand-over" else _with_locations(servers, settings, host)
        parts.append(_with_address(server, settings, host) + "\n")
    return "".join(parts).rstrip("\n") + "\n"


def _with_locations(servers: str, settings: Settings, host: str) -> str:
    begin = servers.index("    location / {\n")
    template = servers[begin:].rsplit("}\n", 1)[0]
    found = [(place, one) for one in settings.applications for place in settings.places(one)]
    here = [(place.path, one) for place, one in found if place.host == host]
    here.sort(key=lambda each: -len(each[0]))
    locations = [_location(template, settings, one, path) for path, one in here]
    if not any(path == "/" for path, _ in here):
        locations.append("    location / {\n        return 404;\n    }\n")
    return _inlined(servers[:begin], {}) + "\n".join(locations) + "}\n"


def _location(template: str, settings: Settings, one: UpstreamSettings, path: str) -> str:
    """Whole segments, as Gatekeeper takes them; regular expressions are asked in their order, `/` at last."""
    if path != "/":
        sign = "~*" if one.case_insensitive else "~"
        template = _once(template, "location / {", f'location {sign} "^{re.escape(path)}(?:/|$)" {{')
    template = _limited(template, one, settings.limits.request_body)
    template = _secured(template, one).replace("://application;", f"://application_{_word(one)};")
    return _inlined(template, _files(settings, one))


def _word(one: UpstreamSettings) -> str:
    return one.name.replace("-", "_") or "only"


def _files(settings: Settings, upstream: UpstreamSettings) -> dict[str, Callable[[str], str]]:
    return {
        "gatekeeper/protect.conf": lambda text: _with_identity(text, settings, upstream),
        "gatekeeper/forgeries.conf": lambda text: _without_identity(text, settings),
    }


def _read(name: str) -> str:
    """`gatekeeper/_nginx` in the wheel, deploy/nginx in a checkout."""
    installed = _PACKAGE / "_nginx"
    folder = installed if installed.is_dir() else _PACKAGE.parent / "deploy/nginx"
    return (folder / name).read_text(encoding="utf-8")


def _inlined(text: str, files: dict[str, Callable[[str], str]]) -> str:
    def inline(match: re.Match[str]) -> str:
        indent, name = match.groups()
        content = files.get(name, str)(_read(name))
        content = content[re.match(r"(#.*\n)*", content).end() :]  # type: ignore[union-attr]
        lines = _inlined(content.lstrip("\n"), files).splitlines()
        return "".join(f"{indent}{line}\n" if line else "\n" for line in lines)

    return _INCLUDE.sub(inline, text)


def _once(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise AssertionError(f"{old!r} is {text.count(old)} times in a file of deploy/nginx")
    return text.replace(old, new)


def _listening(settings: Settings) -> tuple[str, bool, str]:
    """Where nginx finds Gatekeeper, whether it is believed there, and as what it would be."""
    address = settings.listen[0]
    if address.startswith("unix:"):
        return address, settings.trust_unix, "unix"
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "localhost": "127.0.0.1"}.get(host, host)  # noqa: S104
    try:
        ours = ip_address(host.strip("[]"))
    except ValueError:
        return address, bool(settings.trusted_proxies), "nginx's address"
    return f"{host}:{port}", any(ours in network for network in settings.proxy_networks), str(ours)


def _application(settings: Settings, given: str | None) -> UpstreamSettings:
    if given is not None:
        return UpstreamSettings(url=parse_upstream_url(given))
    application = settings.applications[0]
    if not application.forwards:
        raise ValueError("upstream: none: say where the application is, with --application http://host:port")
    return application


def _with_application(site: str, upstream: UpstreamSettings, body: int) -> str:
    return _secured(_placed(_limited(site, upstream, body), upstream), upstream)


def _limited(site: str, upstream: UpstreamSettings, body: int) -> str:
    site = _once(site, "client_max_body_size 2000m;", f"client_max_body_size {body};")
    return _once(site, "proxy_read_timeout 60s;", f"proxy_read_timeout {int(upstream.response_timeout)}s;")


def _placed(site: str, upstream: UpstreamSettings) -> str:
    if upstream.url.startswith("unix:"):
        return _once(site, "127.0.0.1:3000", upstream.url)
    parts = urlsplit(upstream.url)
    usual = 443 if parts.scheme == "https" else 80
    place = parts.netloc if parts.port is not None else f"{parts.netloc}:{usual}"
    return _once(site, "127.0.0.1:3000", place)


def _secured(site: str, upstream: UpstreamSettings) -> str:
    parts = urlsplit(upstream.url)
    if parts.scheme != "https":
        return site
    certificates = upstream.ca_file or "/etc/ssl/certs/ca-certificates.crt"
    secured = (
        "proxy_pass https://application;\n"
        f"        proxy_ssl_name {parts.hostname};\n"
        "        proxy_ssl_server_name on;\n"
        "        proxy_ssl_verify on;\n"
        f"        proxy_ssl_trusted_certificate {certificates};"
    )
    return _once(site, "proxy_pass http://application;", secured)


def _with_identity(text: str, settings: Settings, upstream: UpstreamSettings) -> str:
    """The configured header names; the usual ones are emptied where they are not used."""
    headers = settings.identity.headers
    names = [name.lower() for name in headers.values()]
    cleared: list[str] = []
    for key, usual in IdentitySettings().headers.items():
        wanted, variable = headers.get(key, ""), f"$gatekeeper_{key}"
        asked = rf"^auth_request_set {re.escape(variable)} .*\n"
        told = rf"^proxy_set_header {usual} .*\n"
        answered = f"$upstream_http_{wanted.lower().replace('-', '_')}"
        line = f"auth_request_set {variable} {answered};\n" if wanted else ""
        text = re.sub(asked, lambda _, line=line: line, text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
        line = f"proxy_set_header {wanted} {variable};\n" if wanted else ""
        text = re.sub(told, lambda _, line=line: line, text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
        if usual.lower() not in names:
            cleared.append(f'proxy_set_header {usual} "";\n')
    text = text.replace("# The browser's cookies", "".join(cleared) + "# The browser's cookies")
    if upstream.authorization != "pass":
        text = _with_authorization(text, upstream)
    if upstream.host == "rewrite" and not upstream.url.startswith("unix:"):
        host = urlsplit(upstream.url).netloc
        text = re.sub(r"^(proxy_set_header Host +)\S+;", rf"\g<1>{host};", text, count=1, flags=re.MULTILINE)
    return text


def _with_authorization(text: str, upstream: UpstreamSettings) -> str:
    """Without the client's own. Gatekeeper tells another to nobody: only it sends it, with its own hands."""
    if upstream.authorization != "drop":
        which = f"{upstream.name}: " if upstream.name else ""
        raise ValueError(
            f"upstream: {which}authorization is sent where Gatekeeper carries; use --mode hand-over"
        )
    return text.replace(
        "# The browser's cookies", 'proxy_set_header Authorization "";\n# The browser\'s cookies'
    )


def _without_identity(text: str, settings: Settings) -> str:
    names = {name.lower() for name in settings.identity.headers.values()}
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("#") or line.split()[1].lower() not in names)


def _with_address(site: str, settings: Settings, host: str) -> str:
    parts = urlsplit(f"{settings.public_scheme}://{host}")
    port = parts.port or (443 if settings.secure else 80)
    if not settings.secure or port != 443:
        site = _REDIRECT.sub("", site, count=1)
    if settings.secure:
        site = _once(site, "listen 443 ssl http2;", f"listen {port} ssl http2;")
    else:
        site = _once(site, "listen 443 ssl http2;", f"listen {port};")
        site = re.sub(r"^    ssl_certificate.*\n", "", site, flags=re.MULTILINE)
    return site.replace("office.example.com", parts.hostname or "")
