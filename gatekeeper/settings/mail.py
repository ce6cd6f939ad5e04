"""`mail`: who mails come from, and how they leave."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StrictInt, model_validator

from gatekeeper.settings.addresses import HostPort, parse_host
from gatekeeper.settings.base import FilePath, Misfit, Section
from gatekeeper.settings.secrets import read_line
from gatekeeper.settings.units import duration

_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\\\"]{1,64}@[^\s@,;:<>()\[\]\\\"]{1,255}")
_NAMED = re.compile(r"(?P<name>[^<>\"]*?)\s*<(?P<address>[^<>]*)>")
_PORTS = {"tls": 465, "starttls": 587, "none": 25}


def split_mailbox(text: str) -> tuple[str, str]:
    """Name and address of `person@example.com` or `Name <person@example.com>`; `ValueError` otherwise."""
    named = _NAMED.fullmatch(text.strip())
    name, address = (named["name"], named["address"]) if named else ("", text.strip())
    if not text.isprintable() or not _ADDRESS.fullmatch(address):
        raise ValueError(
            "must be an address such as gatekeeper@example.com or Back office <gatekeeper@example.com>"
        )
    try:
        parse_host(address.rpartition("@")[2])
    except ValueError as error:
        raise ValueError(f"{error}: what is after @ must be one") from None
    return name, address


def _mailbox(text: str) -> str:
    split_mailbox(text)
    return text


class SmtpSettings(Section):
    """A mail server that takes our mails. RFC 6409, RFC 8314."""

    host: Annotated[str, AfterValidator(parse_host)]
    """Its name or address."""

    port: Annotated[StrictInt, Field(ge=1, le=65_535)] | None = None
    """Left out: 587 with starttls, 465 with tls, 25 with none."""

    tls: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls`: encrypted before anything is said, or not sent; `tls`: from the first byte on; `none`."""

    ca_file: FilePath | None = None
    """Certificates (PEM) that sign the mail server's, for a private authority. It is always verified."""

    username: Annotated[str, Field(min_length=1)] | None = None
    """Left out: the mail server asks for none."""

    password: SecretStr | None = None
    """The password of `username`. The file that holds it must be readable by Gatekeeper alone."""

    password_file: FilePath | None = None
    """A file with the password, instead of `password`."""

    timeout: Annotated[float, duration("1s", "5m")] = 30.0
    """How long handing over one mail may take; then it is tried again later."""

    @property
    def real_port(self) -> int:
        """The given port, or the one that belongs to `tls`."""
        return self.port or _PORTS[self.tls]

    @model_validator(mode="after")
    def _fits(self) -> SmtpSettings:
        if self.password is not None and self.password_file is not None:
            raise Misfit(("password_file",), "is given as well as password: keep one of the two")
        has_password = self.password is not None or self.password_file is not None
        if self.username is None and has_password:
            key = "password" if self.password is not None else "password_file"
            raise Misfit((key,), "is given, but username is missing")
        if self.username is not None and not has_password:
            raise Misfit(("username",), "is given, but neither password nor password_file")
        if self.tls == "none":
            if self.username is not None and not HostPort(self.host, None).loopback:
                raise Misfit(("tls",), "none would send the password readable for everybody on the way")
            if self.ca_file is not None:
                raise Misfit(("ca_file",), "is given, but tls is none")
        return self


class MailSettings(Section):
    """Invitations, recovery, notices: without this section no mail is sent."""

    from_: Annotated[str, AfterValidator(_mailbox), Field(alias="from")]
    """Who mails come from: `address` or `Name <address>`."""

    reply_to: Annotated[str, AfterValidator(_mailbox)] | None = None
    """Where answers go, when not to `from`."""

    smtp: SmtpSettings | None = None
    """The mail server that takes our mails."""

    to_directory: FilePath | None = None
    """A folder for the mails as .eml files, instead of `smtp`: to try things out, or for your own program."""

    @model_validator(mode="after")
    def _one_way(self) -> MailSettings:
        if self.smtp is not None and self.to_directory is not None:
            raise Misfit(("to_directory",), "is given as well as smtp: keep one of the two")
        if self.smtp is None and self.to_directory is None:
            raise ValueError("says who mails come from, but not where they go: add smtp or to_directory")
        return self


def with_password(mail: MailSettings) -> MailSettings:
    """The same with the password from `password_file`. `ValueError` (never with the content)."""
    smtp = mail.smtp
    if smtp is None or smtp.password_file is None:
        return mail
    password = SecretStr(read_line(smtp.password_file))
    smtp = smtp.model_copy(update={"password": password, "password_file": None})
    return mail.model_copy(update={"smtp": smtp})
