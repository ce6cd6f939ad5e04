"""The demo's mailbox: shows the .eml files of a directory, newest first. For one person on one machine."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: 1rem; }}
iframe {{ width: 100%; height: 30rem; border: 1px solid #999; }}
</style></head><body><h1>{title}</h1>{body}</body></html>
"""
# Mails are shown, never run: no script, nothing fetched from elsewhere.
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_MOST_SHOWN = 200


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=escape(title), body=body), status, headers=_HEADERS)


def _read(path: Path) -> EmailMessage:
    with path.open("rb") as file:
        return BytesParser(policy=policy.default).parse(file)


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


class Mailbox:
    """Reads `directory` anew for each page."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _files(self) -> list[Path]:
        """Newest first; a directory that is not there yet is an empty mailbox."""
        if not self._directory.is_dir():
            return []
        files = [(path.stat().st_mtime_ns, path) for path in self._directory.glob("*.eml")]
        return [path for _, path in sorted(files, reverse=True)[:_MOST_SHOWN]]

    def index(self, _request: Request) -> Response:
        rows = []
        for path in self._files():
            message = _read(path)
            subject = escape(str(message["subject"] or "(no subject)"))
            rows.append(
                f'<li><a href="/{escape(path.stem)}">{subject}</a> to {escape(str(message["to"]))}</li>'
            )
        body = f"<ol>{''.join(rows)}</ol>" if rows else "<p>No mail yet.</p>"
        return _page("Mailbox", body)

    def show(self, request: Request) -> Response:
        # Looked up among the files that are there: the name never becomes a path.
        path = next((path for path in self._files() if path.stem == request.path_params["name"]), None)
        if path is None:
            raise HTTPException(404)
        message = _read(path)
        heads = "".join(
            f"<div><b>{name}:</b> {escape(str(message[name] or ''))}</div>" for name in ("From", "To", "Date")
        )
        html = _part(message, "html")
        frame = f'<iframe sandbox title="HTML version" srcdoc="{escape(html)}"></iframe>' if html else ""
        body = f"{heads}<pre>{_linked(_part(message, 'plain'))}</pre>{frame}<p><a href='/'>All mail</a></p>"
        return _page(str(message["subject"] or "(no subject)"), body)


def _linked(text: str) -> str:
    """Escaped text in which http and https addresses that stand alone in a word are links."""
    words = []
    for word in text.split(" "):
        lines = []
        for piece in word.split("\n"):
            shown = escape(piece.rstrip("\r"))
            is_link = piece.startswith(("http://", "https://"))
            lines.append(f'<a href="{shown}" rel="noreferrer">{shown}</a>' if is_link else shown)
        words.append("\n".join(lines))
    return " ".join(words)


def make_mailbox(directory: Path) -> Starlette:
    """An ASGI app over the .eml files in `directory`."""
    mailbox = Mailbox(directory)
    # Mails hold links that open accounts: no web page may read them under a name that it made point here.
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(
        routes=[Route("/", mailbox.index), Route("/{name}", mailbox.show)],
        middleware=[hosts],
    )
