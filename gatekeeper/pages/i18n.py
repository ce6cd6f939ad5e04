"""Languages: every text goes through gettext, and knows which way it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from gettext import NullTranslations

_RIGHT_TO_LEFT = frozenset(
    {"ar", "arc", "ckb", "dv", "fa", "he", "ks", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"}
)


@dataclass(frozen=True, slots=True)
class Locale:
    """One language of the pages. `code` is a BCP 47 tag, such as "en" or "pt-BR"."""

    code: str
    translations: NullTranslations = field(default_factory=NullTranslations)

    @property
    def direction(self) -> str:
        """ "rtl" or "ltr", the value of HTML's `dir`."""
        return "rtl" if self.code.split("-", 1)[0].lower() in _RIGHT_TO_LEFT else "ltr"

    def text(self, message: str) -> str:
        """The translation of `message`, or `message` itself."""
        return self.translations.gettext(message)


ENGLISH = Locale("en")


def N_(message: str) -> str:
    """Mark a text for extraction; it is translated where it is shown."""
    return message
