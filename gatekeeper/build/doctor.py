"""Settings → the checks of `gatekeeper doctor`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from alembic.script import ScriptDirectory

from gatekeeper import __version__
from gatekeeper.build.database import make_database
from gatekeeper.build.mail import make_transport
from gatekeeper.build.providers import make_microsoft, make_oidc, redirect_uris
from gatekeeper.build.sessions import make_store_check
from gatekeeper.build.values import make_secrets
from gatekeeper.core import probe
from gatekeeper.core.clock import Clock
from gatekeeper.core.secretbox import SecretBox
from gatekeeper.doctor.clock import Ask, ClockCheck
from gatekeeper.doctor.configuration import ConfigurationCheck
from gatekeeper.doctor.database import SqliteCheck
from gatekeeper.doctor.database_server import ServerCheck
from gatekeeper.doctor.descriptors import DescriptorsCheck
from gatekeeper.doctor.files import DataDirCheck, SecretsCheck
from gatekeeper.doctor.http import ask
from gatekeeper.doctor.mail import DirectoryCheck, NoMailCheck, SmtpCheck
from gatekeeper.doctor.protocol import Check
from gatekeeper.doctor.provider import Examined, ProviderCheck
from gatekeeper.doctor.public_url import PublicUrlCheck
from gatekeeper.doctor.upstream import UpstreamCheck
from gatekeeper.gate.server.config import ServerLimits
from gatekeeper.gate.server.descriptors import fit_to_descriptors
from gatekeeper.mail.smtp import SmtpTransport
from gatekeeper.settings import Settings
from gatekeeper.settings.remarks import remarks
from gatekeeper.settings.secrets import present, read_secret_file
from gatekeeper.storage.migrate import alembic_config
from gatekeeper.storage.sqlite import file_of
from gatekeeper.upstream.connect import make_ssl_context
from gatekeeper.upstream.origin import Origin

_PATIENCE = 10.0


def make_checks(settings: Settings, config: Path, *, clock: Clock, descriptors: int) -> list[Check]:
    """What can be examined of `settings`, in the order of a report. Raises OSError and ValueError for
    files that cannot be used."""
    secrets = make_secrets(settings)
    path = None if settings.shared else file_of(settings.database, settings.data_dir)[1]
    own = settings.data_dir / "secret"
    generated = own if present(own) and read_secret_file(own) in secrets else None
    others: dict[str, Ask] = {"public_url": _asker(settings.public_url, settings.prefix + "/healthz")}
    upstream = _upstream(settings, clock)
    for application in settings.applications:
        if application.forwards:
            name = application.name or "the application"
            others[name] = _asker(application.url, "/", application.ca_file)
    return [
        ConfigurationCheck(str(config), remarks(settings)),
        DataDirCheck(settings.data_dir),
        SecretsCheck(len(secrets), generated, _private_files(settings, path)),
        ServerCheck(make_database(settings))
        if path is None
        else SqliteCheck(path, head=_head(), clock=clock),
        *([make_store_check(settings, clock=clock)] if settings.session.store else []),
        _mail(settings),
        *upstream,
        ClockCheck(others, clock=clock),
        PublicUrlCheck(
            settings.public_url,
            settings.prefix,
            SecretBox(secrets, probe.PURPOSE) if secrets else None,
            clock=clock,
            proxied=settings.tls is None,
            version=__version__,
        ),
        _descriptors(settings, descriptors),
        *_providers(settings, clock),
    ]


def _head() -> str:
    return ScriptDirectory.from_config(alembic_config()).get_current_head() or ""


def _private_files(settings: Settings, database: Path | None) -> list[Path]:
    found: list[Path] = []
    if database is not None:
        found += [database, *database.parent.glob(f"{database.name}-*"), *database.parent.glob("*.backup")]
    if settings.mail is not None and settings.mail.to_directory is not None:
        found.append(settings.mail.to_directory)
    return found


def _mail(settings: Settings) -> Check:
    mail = settings.mail
    if mail is None:
        return NoMailCheck()
    transport = make_transport(mail)
    if mail.smtp is None or not isinstance(transport, SmtpTransport):
        return DirectoryCheck(mail.to_directory or settings.data_dir)
    smtp = mail.smtp
    return SmtpCheck(
        transport,
        f"{smtp.host}:{smtp.real_port}",
        signs_in=smtp.username is not None,
        readable=smtp.tls == "none",
    )


def _upstream(settings: Settings, clock: Clock) -> list[Check]:
    found: list[Check] = []
    for upstream in settings.applications:
        if not upstream.forwards:
            continue
        origin = Origin.parse(upstream.url)
        found.append(
            UpstreamCheck(
                origin,
                host=settings.places(upstream)[0].host if upstream.host == "keep" else origin.authority,
                timeout=min(_PATIENCE, upstream.connect_timeout + upstream.response_timeout),
                clock=clock,
                ssl_context=make_ssl_context(upstream.ca_file) if origin.tls else None,
            )
        )
    return found


def _providers(settings: Settings, clock: Clock) -> list[Check]:
    named: list[tuple[Examined, str]] = []
    if settings.microsoft is not None:
        microsoft = make_microsoft(settings.microsoft, clock)
        named.append((microsoft, settings.microsoft.client_id))
    named.extend((make_oidc(section, clock), section.client_id) for section in settings.oidc)
    return [
        ProviderCheck(
            provider,
            redirect_uris=redirect_uris(settings, provider.name),
            client_id=client_id,
            public_url=settings.public_url,
        )
        for provider, client_id in named
    ]


def _asker(url: str, target: str, ca_file: Path | None = None) -> Ask:
    origin = Origin.parse(url)
    context = make_ssl_context(ca_file) if origin.tls else None
    return partial(ask, origin, target, host=origin.authority, timeout=_PATIENCE, ssl_context=context)


def _descriptors(settings: Settings, descriptors: int) -> Check:
    wanted = settings.limits.connections
    upstream = settings.upstream_connections
    try:
        fitted = fit_to_descriptors(ServerLimits(connections=wanted), descriptors, upstream=upstream)
    except ValueError:
        return DescriptorsCheck(descriptors, None, wanted)
    return DescriptorsCheck(descriptors, fitted.connections, wanted)
