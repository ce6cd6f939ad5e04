"""Contrast between colours, and the nearest shade that has enough. WCAG 2.2, success criterion 1.4.3."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence

LIGHT_GROUNDS = ("#ffffff", "#f4f6f9")
"""White (card, text on buttons) and the page behind it, in the light scheme."""
DARK_GROUNDS = ("#171e28", "#0e131a", "#0b1730")
"""The card, the page and the text on buttons, in the dark scheme."""
LEAST = 4.5

_COLOR = re.compile(r"#[0-9a-fA-F]{6}\Z")


def parse_color(text: str) -> str:
    """`#rrggbb` in lower case; `ValueError` otherwise."""
    if re.match(r"#[0-9a-fA-F]{3}\Z", text):
        text = "#" + "".join(digit * 2 for digit in text[1:])
    if not _COLOR.match(text):
        raise ValueError('must be a colour such as "#1d4ed8" (in quotes: an unquoted # begins a comment)')
    return text.lower()


def _channels(color: str) -> tuple[float, float, float]:
    number = int(color[1:], 16)
    return (number >> 16) / 255, (number >> 8 & 255) / 255, (number & 255) / 255


def luminance(color: str) -> float:
    """From 0 (black) to 1 (white)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def worst_contrast(color: str, grounds: Sequence[str]) -> float:
    """The contrast against the ground that it has least of."""
    return min(contrast(color, ground) for ground in grounds)


def nearest_passing(color: str, grounds: Sequence[str]) -> str:
    """`color`, or the shade of its hue with the least change of lightness that reads on all `grounds`."""
    if worst_contrast(color, grounds) >= LEAST:
        return color
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(color))
    darker = luminance(grounds[0]) > 0.5
    for step in range(1, 1001):
        moved = lightness - step / 1000 if darker else lightness + step / 1000
        shade = _hex(colorsys.hls_to_rgb(hue, min(max(moved, 0.0), 1.0), saturation))
        if worst_contrast(shade, grounds) >= LEAST:
            return shade
    return "#000000" if darker else "#ffffff"


def shifted(color: str, by: float) -> str:
    """`color` with its lightness (0 to 1) moved by `by`."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(color))
    return _hex(colorsys.hls_to_rgb(hue, min(max(lightness + by, 0.0), 1.0), saturation))


def _hex(channels: Sequence[float]) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)
