"""From a waiting mail to its texts: templates/mail, one pair of files for each kind."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from gettext import NullTranslations
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from gatekeeper.core.browsers import browser_and_system
from gatekeeper.mail.kinds import SPECS, MailKind
from gatekeeper.mail.message import Texts, one_line

_DAY = 86_400.0
_BLANK_LINES = re.compile(r"\n{3,}")
_LIGHT = {"brand": "#1d4ed8", "on_brand": "#ffffff"}
_DARK = {"dark_brand": "#7aa5ff", "dark_on_brand": "#0b1730"}


class Language(Protocol):
    """One language, as the pages have it."""

    @property
    def code(self) -> str: ...

    @property
    def direction(self) -> str: ...

    @property
    def translations(self) -> NullTranslations: ...


@dataclass(frozen=True, slots=True)
class Look:
    """What the operator's branding says."""

    product_name: str
    help_url: str = ""
    colors: Mapping[str, str] = field(default_factory=dict)
    """`#rrggbb` for brand, on_brand, dark_brand, dark_on_brand; what is missing is built in."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a template may say. Times in seconds since the epoch."""

    login: str
    name: str
    values: Mapping[str, str]
    created_at: float
    expires_at: float | None


class MailTemplates:
    """Renders mails in one language; what is missing is an error, not an empty string."""

    def __init__(self, folders: Sequence[Path], language: Language, look: Look) -> None:
        """A file in an earlier one of `folders` takes the place of one of the same name in a later one."""
        self.language = language
        self._look = look
        self._environment = self._make_environment(folders)

    def render(self, kind: MailKind, facts: Facts) -> Texts:
        """Raises jinja2.TemplateError."""
        subject = self.language.translations.gettext(SPECS[kind].subject)
        context = self._context(facts)
        context["subject"] = subject.replace("{product}", self._look.product_name)
        plain = self._environment.get_template(f"mail/{kind.value}.txt").render(context)
        return Texts(
            subject=context["subject"],
            plain=_BLANK_LINES.sub("\n\n", plain).strip() + "\n",
            html=self._environment.get_template(f"mail/{kind.value}.html").render(context),
        )

    def _make_environment(self, folders: Sequence[Path]) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(list(folders)),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.i18n"],
        )
        translations = self.language.translations
        environment.install_gettext_callables(  # type: ignore[attr-defined]
            translations.gettext, translations.ngettext, newstyle=True
        )
        environment.globals.update(
            locale=self.language,
            product=one_line(self._look.product_name),
            help_url=self._look.help_url,
            colors=_LIGHT | _DARK | dict(self._look.colors),
        )
        return environment

    def _context(self, facts: Facts) -> dict[str, Any]:
        """The values of a template. `""` stands for what is not known, so that templates can ask."""
        # One line each: in a plain text, a line break would let a value pretend to be a text of ours.
        values = {name: one_line(value) for name, value in facts.values.items()}
        days = int(values["days"]) if values.get("days") else 0
        browser, system = browser_and_system(values.get("user_agent", ""))
        return {
            "login": one_line(facts.login),
            "name": one_line(facts.name),
            "link": values.get("link", ""),
            "password": values.get("password", ""),
            "client": values.get("client", ""),
            "change": values.get("change", ""),
            "browser": browser,
            "system": system,
            "days": days,
            "last_day": _day(_seconds(values.get("when", ""), facts.created_at + days * _DAY)),
            "when": _minute(_seconds(values.get("when", ""), facts.created_at)),
            "expires": _minute(facts.expires_at) if facts.expires_at is not None else "",
        }


def _seconds(text: str, otherwise: float) -> float:
    """The time that `text` (ISO 8601, with its zone) says."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return otherwise
    return moment.timestamp() if moment.tzinfo is not None else otherwise


def _minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
