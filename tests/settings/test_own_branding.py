"""`upstream.branding`: single keys in place of those of the whole configuration, and no less checked."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.settings import Settings, load_settings, make_settings
from tests.settings.helpers import complaints, write

TWO = (
    "public_url: https://app.example.com\n"
    "branding: {product_name: Office, color: '#1d4ed8', color_dark: '#7aa5ff', show_password: checkbox}\n"
    "upstream:\n"
    "  - {name: a, url: http://127.0.0.1:3000}\n"
)


def _with(branding: str) -> str:
    return f"{TWO}  - name: b\n    url: http://127.0.0.1:3001\n    at: /b\n    branding: {branding}\n"


def _load(folder: Path, branding: str) -> Settings:
    return load_settings(write(folder, _with(branding)), {}, create=False)


def test_what_is_left_out_is_as_for_everybody(tmp_path: Path) -> None:
    settings = _load(tmp_path, ("{product_name: B, color: '#166534'}"))
    first, second = (one.branding.over(settings.branding) for one in settings.applications)
    assert first == settings.branding
    assert (second.product_name, second.color, second.show_password) == ("B", "#166534", "checkbox")
    assert second.color_dark is None and "dark_brand" in second.colors, "made of its own color"
    kept = _load(tmp_path, ("{color_dark: '#86efac'}")).applications[1].branding.over(settings.branding)
    assert (kept.color, kept.color_dark) == ("#1d4ed8", "#86efac")


def test_one_application_may_have_it_too() -> None:
    settings = make_settings(
        {
            "public_url": "https://office.example.com",
            "upstream": {"url": "http://127.0.0.1:3000", "branding": {"product_name": "Orders"}},
        },
        create=False,
    )
    (only,) = settings.applications
    assert only.branding.over(settings.branding).product_name == "Orders"


def test_mistakes_are_told_where_they_stand(tmp_path: Path) -> None:
    for written, told in {
        "{color: '#3b82f6'}": "8:23: upstream[1].branding.color: #3b82f6 has a contrast of 3.39:1 on "
        "a light page",
        "{colour: '#166534'}": "8:16: upstream[1].branding.colour: there is no such key, did you mean color?",
        "{help_url: help@example.com}": "8:26: upstream[1].branding.help_url: must be an https://, "
        "http:// or mailto: address; did you mean mailto:help@example.com?",
        "{logo_file: none.svg}": "8:27: upstream[1].branding.logo_file: none.svg cannot be read",
        "{product_name: ''}": "8:30: upstream[1].branding.product_name: ",
    }.items():
        (found,) = complaints(tmp_path, _with(written))
        assert found.startswith(f"gatekeeper.yaml:{told}"), written
