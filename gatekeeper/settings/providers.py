"""`microsoft` and `oidc`: who else may say who somebody is."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, StrictBool, model_validator

from gatekeeper.settings.addresses import origin_text, parse_host, parse_host_port, parse_origin
from gatekeeper.settings.base import FilePath, Misfit, OneOrMany, Section
from gatekeeper.settings.secrets import read_line

MICROSOFT = "microsoft"
"""The name of Entra ID among the providers, in addresses and logs."""
MANY_TENANTS = ("common", "organizations")
_GUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_GRAPHS = {
    "login.microsoftonline.us": "https://graph.microsoft.us",
    "login.partner.microsoftonline.cn": "https://microsoftgraph.chinacloudapi.cn",
}


def _check_guid(text: str) -> str:
    if not _GUID.fullmatch(text.lower()):
        raise ValueError("must be an id such as 8d3b0c6e-0f5a-4a8e-9d52-2f1c7f5b3a10")
    return text.lower()


def _check_tenant(text: str) -> str:
    if text in MANY_TENANTS or _GUID.fullmatch(text.lower()):
        return text.lower()
    if text == "consumers":
        raise ValueError("consumers is for private accounts, which have no user principal names")
    try:
        if "." not in text:
            raise ValueError("no domain")
        return parse_host(text)
    except ValueError:
        raise ValueError("must be the tenant's id, one of its domains, organizations or common") from None


def _check_authority(text: str) -> str:
    scheme, place = parse_origin(text)
    if scheme != "https":
        raise ValueError("must begin with https://")
    return origin_text(scheme, place)


def _check_issuer(text: str) -> str:
    try:
        parts = urlsplit(text)
        place = parse_host_port(parts.netloc)
    except ValueError:
        raise ValueError("is not an address") from None
    if "?" in text or "#" in text or "@" in parts.netloc or not text.isprintable() or " " in text:
        raise ValueError("must be an address without user, query and fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and place.loopback):
        raise ValueError("must begin with https://")
    if text.endswith("/.well-known/openid-configuration"):
        raise ValueError("ends before /.well-known/openid-configuration, which is found by itself")
    return text


def _check_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must have letters a to z, digits and -, at most 32: it stands in addresses")
    if text == MICROSOFT:
        raise ValueError("microsoft is the name of the section of its own")
    return text


def _check_scope(text: str) -> str:
    if not _SCOPE.fullmatch(text):
        raise ValueError("is no scope: one word, without quotes and backslashes")
    return text


def _lower_guid(text: str) -> str:
    return text.lower() if _GUID.fullmatch(text.lower()) else text


Guid = Annotated[str, AfterValidator(_check_guid)]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Label = Annotated[str, Field(min_length=1, max_length=60)]
Group = Annotated[Text, AfterValidator(_lower_guid)]


Provider = TypeVar("Provider", "MicrosoftSettings", "OidcSettings")


class CertificateSettings(Section):
    """A certificate that was uploaded to the registration, and its private key, as PEM files."""

    cert_file: FilePath
    """The certificate."""

    key_file: FilePath
    """Its private key, without a password; readable by Gatekeeper alone."""


class MicrosoftRole(Section):
    """Whoever is in one of the groups or has one of the app roles has the role."""

    role: Text
    """A role of ours, as rules name it."""

    groups: Annotated[tuple[Group, ...], OneOrMany] = ()
    """Object ids of groups."""

    app_roles: Annotated[tuple[Text, ...], OneOrMany] = ()
    """Values of app roles of the registration."""

    @model_validator(mode="after")
    def _somebody(self) -> MicrosoftRole:
        if not self.groups and not self.app_roles:
            raise ValueError("says nobody who has the role: add groups or app_roles")
        return self


class MicrosoftSettings(Section):
    """Sign-in with Microsoft Entra ID (Azure Active Directory)."""

    client_id: Guid
    """The application (client) id of the registration. Alone, it is a single-page application's."""

    client_secret: SecretStr | None = None
    """A client secret's value, for a registration of the kind Web. This file must be readable by Gatekeeper
    alone then."""

    client_secret_file: FilePath | None = None
    """A file with the client secret, instead of `client_secret`."""

    certificate: CertificateSettings | None = None
    """A certificate, instead of a client secret."""

    tenant: Annotated[str, AfterValidator(_check_tenant)] = "organizations"
    """The tenant's id or one of its domains; `organizations` for every organisation, `common` the same."""

    allowed_tenants: Annotated[tuple[Guid, ...], OneOrMany] = ()
    """With `organizations` or `common`: ids of the tenants that may sign in. Left out: people are believed
    whose tenant owns the domain of their user principal name."""

    authority: Annotated[str, AfterValidator(_check_authority)] = "https://login.microsoftonline.com"
    """Another cloud's address, such as `https://login.microsoftonline.us`."""

    graph: Annotated[str, AfterValidator(_check_authority)] | None = None
    """Microsoft Graph's address, when not the one that belongs to `authority`."""

    ca_file: FilePath | None = None
    """Certificates (PEM) of your own authority, where a proxy looks into TLS. They are always verified."""

    prompt: Literal["login", "select_account", "consent"] | None = None
    """What Microsoft asks for each time: the password, which account, or consent."""

    domain_hint: Text | None = None
    """The domain whose sign-in page is shown at once."""

    label: Label = "Microsoft"
    """What people call it."""

    button: Annotated[str, Field(max_length=60)] = ""
    """The words on the button. `""` is "Sign in with Microsoft", translated."""

    roles: tuple[MicrosoftRole, ...] = ()
    """Roles that follow from groups and app roles."""

    read_groups: StrictBool = False
    """Ask Microsoft Graph (permission User.Read) when somebody is in more groups than a token can name.
    Otherwise such a sign-in is refused where groups matter."""

    two_factor: Annotated[tuple[Text, ...], OneOrMany] = ()
    """Values of the claims amr, acr and acrs with which Microsoft's second factor counts as ours."""

    provision: StrictBool = False
    """Make an account for whoever has none; with `roles`, only for whoever gets one of them."""

    sign_out: StrictBool = False
    """Signing out here goes on to signing out at Microsoft."""

    @property
    def real_graph(self) -> str:
        """The given address of Graph, or the one that belongs to `authority`."""
        return self.graph or _GRAPHS.get(urlsplit(self.authority).netloc, "https://graph.microsoft.com")

    @model_validator(mode="after")
    def _fits(self) -> MicrosoftSettings:
        proofs = ("client_secret", "client_secret_file", "certificate")
        given = [key for key in proofs if getattr(self, key) is not None]
        if len(given) > 1:
            raise Misfit((given[1],), f"is given as well as {given[0]}: keep one of the two")
        if self.allowed_tenants and self.tenant not in MANY_TENANTS:
            raise Misfit(("allowed_tenants",), f"has no effect: only {self.tenant} can sign in")
        if self.tenant in MANY_TENANTS and not self.allowed_tenants:
            why = f"every organisation can sign in with tenant: {self.tenant}; add allowed_tenants"
            for index, rule in enumerate(self.roles):
                if rule.app_roles:  # which the administrators of every tenant give to whom they like
                    raise Misfit(("roles", index, "app_roles"), f"would be given by anybody: {why}")
            if self.provision:
                raise Misfit(("provision",), f"would make accounts for anybody: {why}")
        if self.read_groups and not any(rule.groups for rule in self.roles):
            raise Misfit(("read_groups",), "has no effect: no role follows from groups")
        return self


class OidcClaims(Section):
    """What the provider calls the things that are looked for."""

    login: Text = "preferred_username"
    """By which the account is found at the first sign-in. With `email` it must be verified."""

    name: Text = "name"
    """The person's name."""

    email: Text = "email"
    """The e-mail address."""

    groups: Text = "groups"
    """A list of groups or roles."""


class OidcRole(Section):
    """Whoever is in one of the groups has the role."""

    role: Text
    """A role of ours, as rules name it."""

    groups: Annotated[tuple[Text, ...], Field(min_length=1), OneOrMany]
    """As the provider calls them."""


class OidcSettings(Section):
    """Sign-in with an OpenID Connect provider."""

    name: Annotated[str, AfterValidator(_check_name)]
    """Its name in addresses and logs."""

    label: Annotated[str, Field(max_length=60)] = ""
    """What people call it; `""` is `name`."""

    button: Annotated[str, Field(max_length=60)] = ""
    """The words on the button. `""` is "Sign in with" and the label, translated."""

    issuer: Annotated[str, AfterValidator(_check_issuer)]
    """Its issuer, exactly as it calls itself; the rest is found by discovery."""

    client_id: Text
    """Which the provider knows Gatekeeper by."""

    client_secret: SecretStr | None = None
    """Left out: a public client, which proves itself by PKCE alone."""

    client_secret_file: FilePath | None = None
    """A file with the client secret, instead of `client_secret`."""

    ca_file: FilePath | None = None
    """For a provider with a private certificate authority: its certificates (PEM)."""

    scopes: Annotated[tuple[Annotated[str, AfterValidator(_check_scope)], ...], OneOrMany] = (
        "openid",
        "profile",
        "email",
    )
    """What is asked for; openid must be among them."""

    claims: OidcClaims = OidcClaims()
    """What the provider calls the things that are looked for."""

    roles: tuple[OidcRole, ...] = ()
    """Roles that follow from groups."""

    two_factor: Annotated[tuple[Text, ...], OneOrMany] = ()
    """Values of the claims amr and acr with which the provider's second factor counts as ours."""

    provision: StrictBool = False
    """Make an account for whoever has none; with `roles`, only for whoever gets one of them."""

    sign_out: StrictBool = False
    """Signing out here goes on to signing out at the provider (RP-Initiated Logout 1.0)."""

    @model_validator(mode="after")
    def _fits(self) -> OidcSettings:
        if self.client_secret is not None and self.client_secret_file is not None:
            raise Misfit(("client_secret_file",), "is given as well as client_secret: keep one of the two")
        if "openid" not in self.scopes:
            raise Misfit(("scopes",), "must have openid among them")
        return self


def unique_names(providers: tuple[OidcSettings, ...]) -> tuple[OidcSettings, ...]:
    """The same; raises `Misfit` when two have one name."""
    for index, provider in enumerate(providers):
        if provider.name in [earlier.name for earlier in providers[:index]]:
            raise Misfit((index, "name"), f"{provider.name} is in the list twice")
    return providers


def with_client_secret(provider: Provider) -> Provider:
    """The same with the secret from `client_secret_file`. `ValueError` (never with the content)."""
    if provider.client_secret_file is None:
        return provider
    secret = SecretStr(read_line(provider.client_secret_file))
    return provider.model_copy(update={"client_secret": secret, "client_secret_file": None})
