"""A brand colour that people cannot read is refused, with the nearest one they can."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.settings.colors import (
    DARK_GROUNDS,
    LEAST,
    LIGHT_GROUNDS,
    contrast,
    nearest_passing,
    parse_color,
    worst_contrast,
)
from tests.settings.helpers import complaint, load

colors = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def test_contrast_is_the_one_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)
    assert contrast("#123456", "#123456") == 1


@settings(deadline=None)  # the first call looks at all shades, on a machine that may be busy
@given(colors, st.sampled_from([LIGHT_GROUNDS, DARK_GROUNDS]))
def test_the_suggested_shade_always_passes(color: str, grounds: tuple[str, ...]) -> None:
    assert worst_contrast(nearest_passing(color, grounds), grounds) >= LEAST


def test_a_colour_that_fails_names_the_nearest_that_passes(tmp_path: Path) -> None:
    found = complaint(tmp_path, "branding: {color: '#3b82f6'}\n")
    assert found.startswith("branding.color: #3b82f6 has a contrast of 3.39:1 on a light page")
    better = found.rpartition('"#')[2].rstrip('"')
    assert load(tmp_path, f"branding: {{color: '#{better}'}}\n").branding.color == f"#{better}"
    assert "on a dark page" in complaint(tmp_path, "branding: {color_dark: '#1d4ed8'}\n")


def test_a_brand_colour_becomes_all_colours_of_the_pages(tmp_path: Path) -> None:
    assert load(tmp_path).branding.colors == {}
    found = load(tmp_path, "branding: {color: '#1D4ED8'}\n").branding.colors
    assert found["brand"] == "#1d4ed8"
    assert set(found) == {
        "brand",
        "brand_hover",
        "on_brand",
        "dark_brand",
        "dark_brand_hover",
        "dark_on_brand",
    }
    for scheme, grounds in (("", LIGHT_GROUNDS), ("dark_", DARK_GROUNDS)):
        for role in ("brand", "brand_hover"):
            assert worst_contrast(found[scheme + role], grounds) >= LEAST
            assert contrast(found[scheme + role], found[scheme + "on_brand"]) >= LEAST
    only_dark = load(tmp_path, "branding: {color_dark: '#7aa5ff'}\n").branding.colors
    assert set(only_dark) == {"dark_brand", "dark_brand_hover", "dark_on_brand"}


@pytest.mark.parametrize(
    "text", ["blue", "1d4ed8", "#12345", "#gggggg", "#1d4ed8ff", "rgb(1,2,3)", "#123456;"]
)
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a colour"):
        parse_color(text)
    assert parse_color("#1De") == "#11ddee"
