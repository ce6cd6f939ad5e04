"""The style sheet, the script and the logo: read once, addressed by content, kept by browsers for a year."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from copy import copy
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gatekeeper.pages.services import Branding, Slide
from gatekeeper.pages.templates import TemplateFolders

_IMMUTABLE = "public, max-age=31536000, immutable"
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
# Role in the configuration -> custom property of the style sheet.
_COLOR_ROLES = {"brand": "--brand", "brand_hover": "--brand-h", "on_brand": "--on-brand"}
_LOGO_SUFFIXES = {"image/svg+xml": "svg", "image/png": "png", "image/webp": "webp", "image/jpeg": "jpg"}


class _File(NamedTuple):
    media_type: str
    body: bytes
    gzipped: bytes | None


SESSION_SCRIPT = "session.js"
_SESSION_STYLE = "session.css"


def session_script_url(folders: TemplateFolders, prefix: str) -> str:
    """What the application's pages load. Its path says no version, so that their own policies can name it.

    Raises FileNotFoundError.
    """
    version = hashlib.sha256(folders.read("static/" + SESSION_SCRIPT)).hexdigest()[:16]
    return f"{prefix}/static/{SESSION_SCRIPT}?v={version}"


class StaticFiles:
    """Serves `{prefix}/static/<hash>/<name>`; `url(name)` is what pages link to."""

    def __init__(
        self, folders: TemplateFolders, branding: Branding, prefix: str, slides: Sequence[Slide] = ()
    ) -> None:
        self._files: dict[str, _File] = {}
        self._slides: dict[Slide, str] = {}
        self._folders, self._prefix = folders, prefix
        self._add("gk.js", "text/javascript; charset=utf-8", folders.read("static/gk.js"))
        self._add(
            SESSION_SCRIPT,
            "text/javascript; charset=utf-8",
            _without_comments(folders.read("static/" + SESSION_SCRIPT)),
        )
        self._script_version = session_script_url(folders, prefix).partition("?v=")[2]
        for number, slide in enumerate(slides, 1):
            if slide.image:
                name = f"welcome-{number}.{_LOGO_SUFFIXES[slide.image_type]}"
                self._slides[slide] = name
                self._add(name, slide.image_type, slide.image)
        self._dress(branding)

    def dressed(self, branding: Branding) -> StaticFiles:
        """The same files in another branding, under addresses of their own."""
        other = copy(self)
        other._files = {name: file for name, file in self._files.items() if name != self.logo_name}
        other._dress(branding)
        return other

    def _dress(self, branding: Branding) -> None:
        css, folders = "text/css; charset=utf-8", self._folders
        self._add("gk.css", css, folders.read("static/gk.css") + _brand_css(branding.colors))
        self._add(
            _SESSION_STYLE, css, folders.read("static/" + _SESSION_STYLE) + _session_css(branding.colors)
        )
        if branding.logo:
            self.logo_name = "logo." + _LOGO_SUFFIXES[branding.logo_type]
            self._add(self.logo_name, branding.logo_type, branding.logo)
        else:
            self.logo_name = "logo.svg"
            self._add(self.logo_name, "image/svg+xml", folders.read("static/logo.svg"))
        digest = hashlib.sha256()
        for name, file in sorted(self._files.items()):
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.body).digest())
        self.version = digest.hexdigest()[:16]
        self._base = f"{self._prefix}/static/{self.version}/"

    @property
    def session_style(self) -> str:
        """Where `session.js` finds its style: below what else it asks, which policies may name."""
        return f"{self._prefix}/session/{_SESSION_STYLE}?v={self.version}"

    def url(self, name: str) -> str:
        """The path of a file; KeyError when there is none of that name."""
        if name not in self._files:
            raise KeyError(name)
        return self._base + name

    def slide_url(self, slide: Slide) -> str:
        """The path of a slide's picture, "" when it has none."""
        name = self._slides.get(slide)
        return "" if name is None else self.url(name)

    async def serve(self, request: Request) -> Response:
        """The file. Under another version's hash too, but then only for now.

        While a new version is rolled out, a page of the old one may ask a process of the new one.
        """
        current = request.path_params["version"] == self.version
        return self._answer(request, request.path_params["name"], current=current)

    async def serve_session_script(self, request: Request) -> Response:
        """The script at `session_script_url`, in whatever version was asked for."""
        current = request.query_params.get("v") == self._script_version
        return self._answer(request, SESSION_SCRIPT, current=current)

    async def serve_session_style(self, request: Request) -> Response:
        """The style at `session_style`, in whatever version was asked for."""
        return self._answer(request, _SESSION_STYLE, current=request.query_params.get("v") == self.version)

    def _answer(self, request: Request, name: str, *, current: bool) -> Response:
        file = self._files.get(name)
        if file is None:
            raise HTTPException(404)
        headers = {
            "cache-control": _IMMUTABLE if current else "no-cache",
            "vary": "accept-encoding",
            "x-content-type-options": "nosniff",
        }
        body = file.body
        if file.gzipped is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
            headers["content-encoding"] = "gzip"
            body = file.gzipped
        return Response(body, media_type=file.media_type, headers=headers)

    def _add(self, name: str, media_type: str, body: bytes) -> None:
        compressible = media_type.startswith("text/") or media_type == "image/svg+xml"
        self._files[name] = _File(media_type, body, gzip.compress(body, 9, mtime=0) if compressible else None)


def _takes_gzip(accept: str) -> bool:
    """RFC 9110 section 12.5.3, as far as one coding needs it."""
    for item in accept.lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() == "gzip":
            return not re.fullmatch(r"\s*q=0(\.0{0,3})?\s*", weight)
    return False


def _without_comments(script: bytes) -> bytes:
    """Lines that are nothing but a comment are for who reads the file, not for every browser."""
    return re.sub(rb"^[ ]*//.*\n", b"", script, flags=re.MULTILINE)


def _session_css(colors: Mapping[str, str]) -> bytes:
    """The operator's colours for the menu and dialogs inside the application's pages."""
    rules = []
    for dark, scheme in (
        ("", "not all and (prefers-color-scheme:dark)"),
        ("dark_", "(prefers-color-scheme:dark)"),
    ):
        found = [(name, colors.get(dark + role)) for name, role in (("--b", "brand"), ("--o", "on_brand"))]
        values = "".join(f"{name}:{color};" for name, color in found if color)
        if values:
            rules.append(f"@media {scheme}{{.frame,dialog{{{values}}}}}\n")
    return "".join(rules).encode("ascii")


def _brand_css(colors: Mapping[str, str]) -> bytes:
    """The operator's colours as custom properties, after Gatekeeper's own. ValueError when one is none."""
    for role, color in colors.items():
        if role.removeprefix("dark_") not in _COLOR_ROLES or not _COLOR.fullmatch(color):
            raise ValueError(f"not a colour of the pages: {role}={color!r}")
    light = "".join(f"{prop}:{colors[role]};" for role, prop in _COLOR_ROLES.items() if role in colors)
    dark = "".join(
        f"{prop}:{colors['dark_' + role]};" for role, prop in _COLOR_ROLES.items() if "dark_" + role in colors
    )
    css = ""
    if light:
        css += f"@media not all and (prefers-color-scheme:dark){{:root{{{light}}}}}\n"
    if dark:
        css += f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    return css.encode("ascii")
