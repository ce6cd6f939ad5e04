"""Where templates are, and how they become pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gatekeeper.pages.i18n import Locale

_PACKAGE = Path(__file__).resolve().parent.parent


class TemplateFolders:
    """The operator's folder first, then Gatekeeper's own: single files can be replaced.

    Gatekeeper's own is `gatekeeper/_templates` in the wheel and `templates/` beside the package in a
    checkout; never anything relative to the working directory.
    """

    def __init__(self, override: Path | None = None) -> None:
        installed = _PACKAGE / "_templates"
        own = installed if installed.is_dir() else _PACKAGE.parent / "templates"
        self.folders = [own] if override is None else [override.resolve(), own]

    def read(self, name: str) -> bytes:
        """The bytes of one file. Raises FileNotFoundError."""
        for folder in self.folders:
            path = folder / name
            if path.is_file():
                return path.read_bytes()
        raise FileNotFoundError(name)


class Templates:
    """Renders a template in one language; what is missing is an error, not an empty string."""

    def __init__(self, folders: TemplateFolders, locale: Locale, common: Mapping[str, Any]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(folders.folders),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=["jinja2.ext.i18n"],
        )
        translations = locale.translations
        self._environment.install_gettext_callables(  # type: ignore[attr-defined]
            translations.gettext, translations.ngettext, newstyle=True
        )
        self._environment.globals.update(common)
        self._environment.globals["locale"] = locale

    def render(self, name: str, **values: Any) -> str:
        """The page as text. Raises jinja2.TemplateError."""
        return self._environment.get_template(name).render(**values)
