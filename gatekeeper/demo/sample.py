"""The sample legacy application: a small server-rendered back office with no idea of users.

It believes the headers `Remote-User`, `Remote-Name`, `Remote-Email` and `Remote-Groups`, as such applications
do behind an authenticating proxy, and has nothing else to tell people apart with.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from html import escape
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gatekeeper.demo.markup import LIVE, field, money, page, table
from gatekeeper.demo.records import STATUSES, Books, Document, Order, TooManyDocuments

_PAGE_SIZE = 15
_LARGEST_UPLOAD = 2 * 1024**3
_CHUNK = 256 * 1024
_TICK_SECONDS = 2.0


def header_text(headers: Headers, name: str) -> str:
    """A header as text; names outside ASCII arrive as UTF-8."""
    raw = headers.get(name, "").encode("latin-1")
    return raw.decode("utf-8", errors="replace")


def user_of(request: Request | WebSocket) -> str:
    return (
        header_text(request.headers, "remote-name") or header_text(request.headers, "remote-user") or "nobody"
    )


def _page(request: Request, title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(page(title, body, user_of(request)), status)


def _text(form: FormData, name: str, limit: int = 200) -> str:
    value = form.get(name, "")
    return value.strip()[:limit] if isinstance(value, str) else ""


class SampleApplication:
    """The routes over one set of books."""

    def __init__(self) -> None:
        self.books = Books()
        self._listeners: set[asyncio.Queue[str]] = set()
        self._ticks = 0

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            ticker = group.create_task(self._tick())
            yield
            ticker.cancel()
        self.books.close()

    async def _tick(self) -> None:
        numbers = sorted(self.books.orders)
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._ticks += 1
            order = self.books.orders[numbers[self._ticks % len(numbers)]]
            self._announce(f"[{self._ticks}] order {order.number} for {order.customer}: {order.status}")

    def _announce(self, line: str) -> None:
        for queue in self._listeners:
            if queue.full():  # somebody who does not read misses lines, nothing else
                continue
            queue.put_nowait(line)

    async def home(self, request: Request) -> Response:
        name = user_of(request)
        rows = [
            (label, escape(header_text(request.headers, header)) or "<i>not given</i>")
            for label, header in (
                ("User", "remote-user"),
                ("Name", "remote-name"),
                ("E-mail", "remote-email"),
                ("Groups", "remote-groups"),
            )
        ]
        waiting = sum(1 for order in self.books.orders.values() if order.status == "open")
        body = (
            f"<p>Good day, <b>{escape(name)}</b>.</p>"
            f'<p>There are <a href="/orders?status=open">{waiting} open orders</a>.</p>'
            f"<p>What this application was told about you:</p>{table(('Field', 'Value'), rows)}"
        )
        return _page(request, "Welcome", body)

    async def orders(self, request: Request) -> Response:
        text, status = request.query_params.get("q", ""), request.query_params.get("status", "")
        number = request.query_params.get("page", "1")
        current = max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 6 else 1
        found = self.books.search(text, status)
        options = "".join(
            f'<option value="{s}"{" selected" if s == status else ""}>{s or "any status"}</option>'
            for s in ("", *STATUSES)
        )
        search = (
            f'<form method="get" action="/orders"><input name="q" size="20" value="{escape(text)}"> '
            f'<select name="status">{options}</select> <input type="submit" value="Search"></form>'
        )
        rows = [
            (
                f'<a href="/orders/{order.number}">{order.number}</a>',
                order.day.isoformat(),
                escape(order.customer),
                escape(order.article),
                money(order.total),
                order.status,
            )
            for order in found[(current - 1) * _PAGE_SIZE : current * _PAGE_SIZE]
        ]
        pages = " ".join(
            f"<b>{n}</b>"
            if n == current
            else f'<a href="/orders?{escape(urlencode({"q": text, "status": status, "page": n}))}">{n}</a>'
            for n in range(1, (len(found) + _PAGE_SIZE - 1) // _PAGE_SIZE + 1)
        )
        body = (
            f'{search}<p><a href="/orders/new">New order</a> &nbsp; {len(found)} found</p>'
            f"{table(('No.', 'Date', 'Customer', 'Article', 'Total', 'Status'), rows)}<p>Page: {pages}</p>"
        )
        return _page(request, "Orders", body)

    def _order(self, request: Request) -> Order:
        order = self.books.orders.get(request.path_params["number"])
        if order is None:
            raise HTTPException(404, "There is no such order.")
        return order

    async def order(self, request: Request) -> Response:
        order = self._order(request)
        rows = [
            ("Date", order.day.isoformat()),
            ("Customer", escape(order.customer)),
            ("Article", escape(order.article)),
            ("Quantity", str(order.quantity)),
            ("Total", money(order.total)),
            ("Status", order.status),
        ]
        notes = "".join(f"<li><b>{escape(author)}:</b> {escape(text)}</li>" for author, text in order.notes)
        body = (
            f"{table(('Field', 'Value'), rows)}<a name='notes'></a><p><b>Notes</b></p>"
            f"<ul>{notes or '<li><i>none</i></li>'}</ul>"
            f'<form method="post" action="/orders/{order.number}/notes">'
            '<textarea name="text" rows="3" cols="50"></textarea><br>'
            '<input type="submit" value="Add note"></form>'
            '<p><a href="/orders">Back to the list</a></p>'
        )
        return _page(request, f"Order {order.number}", body)

    async def add_note(self, request: Request) -> Response:
        order = self._order(request)
        async with request.form(max_files=0, max_fields=10) as form:
            text = _text(form, "text", 2000)
        if text:
            order.notes.append((user_of(request), text))
            del order.notes[:-100]
            self.books.note(user_of(request), f"wrote a note on order {order.number}")
        return RedirectResponse(f"/orders/{order.number}", 303)

    async def new_order(self, request: Request) -> Response:
        rows = (
            field("Customer", '<input name="customer" size="30" maxlength="80">')
            + field("Article", '<input name="article" size="30" maxlength="80">')
            + field("Quantity", '<input name="quantity" size="5" value="1">')
            + field("Price", '<input name="price" size="10" value="0.00">')
            + field("", '<input type="submit" value="Create order">')
        )
        return _page(
            request, "New order", f'<form method="post" action="/orders"><table>{rows}</table></form>'
        )

    async def create_order(self, request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            customer, article = _text(form, "customer", 80), _text(form, "article", 80)
            quantity, price = _text(form, "quantity", 6), _text(form, "price", 12)
        problem = ""
        cents = 0
        try:
            cents = round(float(price.replace(",", "")) * 100)
        except (ValueError, OverflowError):
            problem = "The price is not a number."
        if not (customer and article):
            problem = "Customer and article must be given."
        if not (quantity.isascii() and quantity.isdigit()):
            problem = "The quantity is not a number."
        if problem:
            return _page(request, "New order", f'<p><font color="#cc0000">{problem}</font></p>', 400)
        order = self.books.add_order(user_of(request), customer, article, int(quantity), cents)
        self._announce(f"{user_of(request)} created order {order.number}")
        return RedirectResponse(f"/orders/{order.number}", 303)

    async def payments(self, request: Request) -> Response:
        rows = [
            (
                str(payment.number),
                payment.day.isoformat(),
                f'<a href="/orders/{payment.order}">{payment.order}</a>',
                money(payment.cents),
                payment.method,
            )
            for payment in reversed(self.books.payments)
        ]
        return _page(request, "Payments", table(("No.", "Date", "Order", "Amount", "Paid by"), rows))

    async def audit(self, request: Request) -> Response:
        rows = [(escape(author), escape(what)) for author, what in reversed(self.books.audit)]
        return _page(request, "Audit", f"<p>Who did what, latest first.</p>{table(('Who', 'What'), rows)}")

    async def documents(self, request: Request) -> Response:
        rows = [
            (
                f'<a href="/documents/{document.number}">{escape(document.name)}</a>',
                f"{document.size:,}",
                f"<tt>{document.sha256[:16]}</tt>",
                escape(document.author),
            )
            for document in self.books.documents.values()
        ]
        body = (
            '<form method="post" action="/documents" enctype="multipart/form-data">'
            '<input type="file" name="file"> <input type="submit" value="Upload"></form><br>'
            f"{table(('Name', 'Bytes', 'SHA-256', 'From'), rows)}"
        )
        return _page(request, "Documents", body)

    async def upload(self, request: Request) -> Response:
        async with request.form(max_files=1, max_fields=10) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile) or not upload.filename:
                raise HTTPException(400, "Choose a file first.")
            await self._keep(upload, user_of(request))
        return RedirectResponse("/documents", 303)

    async def _keep(self, upload: UploadFile, author: str) -> None:
        try:
            number, path, target = self.books.new_file()
        except TooManyDocuments:
            raise HTTPException(400, "The drawer is full.") from None
        digest, size = hashlib.sha256(), 0
        with target:
            while chunk := await upload.read(_CHUNK):
                size += len(chunk)
                if size > _LARGEST_UPLOAD:
                    path.unlink()
                    raise HTTPException(413, "The file is too large.")
                digest.update(chunk)
                target.write(chunk)
        name = (upload.filename or "").replace("\\", "/").rsplit("/", 1)[-1][:120] or "unnamed"
        kind = upload.content_type or "application/octet-stream"
        self.books.documents[number] = Document(number, name, kind, size, digest.hexdigest(), author, path)
        self.books.note(author, f"uploaded {name}")

    async def download(self, request: Request) -> Response:
        document = self.books.documents.get(request.path_params["number"])
        if document is None:
            raise HTTPException(404, "There is no such document.")
        # Always as an attachment: an uploaded page must not run as one of ours.
        disposition = f"attachment; filename*=UTF-8''{quote(document.name, safe='')}"
        return FileResponse(
            document.path,
            media_type="application/octet-stream",
            headers={"content-disposition": disposition, "x-content-type-options": "nosniff"},
        )

    async def live(self, request: Request) -> Response:
        return _page(request, "Live board", LIVE)

    async def feed(self, socket: WebSocket) -> None:
        await socket.accept()
        queue: asyncio.Queue[str] = asyncio.Queue(100)
        self._listeners.add(queue)
        queue.put_nowait(f"Hello {user_of(socket)}, you are connected.")

        async def write() -> None:
            while True:
                await socket.send_text(await queue.get())

        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(write())
                with contextlib.suppress(WebSocketDisconnect):
                    while True:
                        self._announce(f"{user_of(socket)}: {(await socket.receive_text())[:200]}")
                writer.cancel()
        except* WebSocketDisconnect:
            pass  # the page was closed while a line was on its way to it
        finally:
            self._listeners.discard(queue)


async def _error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = error.detail if isinstance(error, HTTPException) else "Something went wrong."
    return _page(request, f"Error {status}", f"<p>{escape(detail)}</p>", status)


def make_sample() -> Starlette:
    """The sample application as an ASGI app with its own state."""
    sample = SampleApplication()
    return Starlette(
        routes=[
            Route("/", sample.home),
            Route("/orders", sample.orders),
            Route("/orders", sample.create_order, methods=["POST"]),
            Route("/orders/new", sample.new_order),
            Route("/orders/{number:int}", sample.order),
            Route("/orders/{number:int}/notes", sample.add_note, methods=["POST"]),
            Route("/payments", sample.payments),
            Route("/audit", sample.audit),
            Route("/documents", sample.documents),
            Route("/documents", sample.upload, methods=["POST"]),
            Route("/documents/{number:int}", sample.download),
            Route("/live", sample.live),
            WebSocketRoute("/live/feed", sample.feed),
        ],
        exception_handlers={HTTPException: _error},
        lifespan=sample.lifespan,
    )
