"""`branding`: what the sign-in pages say and look like."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gatekeeper.settings import colors
from gatekeeper.settings.base import FilePath, Section


def _light(text: str) -> str:
    return _readable(colors.parse_color(text), colors.LIGHT_GROUNDS, "a light page and under white text")


def _dark(text: str) -> str:
    return _readable(colors.parse_color(text), colors.DARK_GROUNDS, "a dark page and under dark text")


def _readable(color: str, grounds: tuple[str, ...], where: str) -> str:
    found = colors.worst_contrast(color, grounds)
    if found < colors.LEAST:
        better = colors.nearest_passing(color, grounds)
        # Rounded down: 4.496 must not be said to be 4.5.
        raise ValueError(
            f"{color} has a contrast of {int(found * 100) / 100}:1 on {where}, but {colors.LEAST}:1 is needed"
            f' (WCAG 1.4.3); the nearest shade that has it is "{better}"'
        )
    return color


def _help_url(text: str) -> str:
    parts = urlsplit(text)
    web = parts.scheme in ("http", "https") and parts.netloc
    mail = parts.scheme == "mailto" and "@" in parts.path
    if re.search(r"\s", text) or not (web or mail):
        hint = f"; did you mean mailto:{text}?" if re.fullmatch(r"[^@\s:/]+@[^@\s:/]+", text) else ""
        raise ValueError(f"must be an https://, http:// or mailto: address{hint}")
    return text


class BrandingSettings(Section):
    """Words and colours of Gatekeeper's own pages."""

    product_name: Annotated[str, Field(min_length=1, max_length=60)] = "Back office"
    """What the pages call the application."""

    login_label: Annotated[str, Field(max_length=40)] = ""
    """The label of the login field; `""` is the translated "User login"."""

    sign_in_label: Annotated[str, Field(max_length=40)] = ""
    """The sign-in page's heading and button, such as Login; `""` is the translated "Sign in"."""

    forgot_label: Annotated[str, Field(max_length=40)] = ""
    """The link to password recovery; `""` is the translated "Forgot password?"."""

    show_password: Literal["button", "checkbox"] = "button"  # noqa: S105 - a word
    """How a typed password is made visible: a button in the field, or a check-box below it."""

    help_url: Annotated[str, AfterValidator(_help_url)] | None = None
    """Where somebody finds help: https://, http:// or mailto:. A web address is also where the welcome's
    last button leads."""

    logo_file: FilePath | None = None
    """An SVG, PNG, JPEG or WebP picture beside the name."""

    color: Annotated[str, AfterValidator(_light)] | None = None
    """The colour of buttons and links, `"#rrggbb"`; needs a contrast of 4.5:1 with white and the page."""

    color_dark: Annotated[str, AfterValidator(_dark)] | None = None
    """The same where the browser asks for dark pages; left out: the nearest shade of `color` that reads."""

    @property
    def colors(self) -> dict[str, str]:
        """`#rrggbb` by role: brand, on_brand, brand_hover, and with `dark_` before; empty means built-in."""
        found: dict[str, str] = {}
        if self.color is not None:
            found |= {
                "brand": self.color,
                "brand_hover": colors.shifted(self.color, -0.12),
                "on_brand": "#ffffff",
            }
        if self.color is not None or self.color_dark is not None:
            dark = self.color_dark or colors.nearest_passing(self.color or "", colors.DARK_GROUNDS)
            found |= {
                "dark_brand": dark,
                "dark_brand_hover": colors.shifted(dark, 0.12),
                "dark_on_brand": "#0b1730",
            }
        return found


class OwnBrandingSettings(BrandingSettings):
    """What pages around one application say and look like. What is left out is as in `branding`."""

    inline: ClassVar[bool] = True

    def over(self, common: BrandingSettings) -> BrandingSettings:
        """`common` with what is said here in its place. A colour brings its own dark shade."""
        own = {name: getattr(self, name) for name in self.model_fields_set}
        if "color" in own:
            own.setdefault("color_dark", None)
        return common.model_copy(update=own)
