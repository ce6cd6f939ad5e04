"""`welcome`: what a person sees after the first sign-in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gatekeeper.settings.base import FilePath, Section


class Slide(Section):
    """One page of the welcome."""

    title: Annotated[str, Field(min_length=1, max_length=80)]
    """Its heading."""

    text: Annotated[str, Field(min_length=1, max_length=1000)]
    """A few sentences."""

    image: FilePath | None = None
    """An SVG, PNG, JPEG or WebP picture above the heading."""
