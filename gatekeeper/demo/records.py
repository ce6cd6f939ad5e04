"""What the sample application keeps: orders, payments, documents and who did what. All in memory, made up."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

STATUSES = ("open", "packed", "shipped", "cancelled")
_CUSTOMERS = (
    "Northwind Tools",
    "Harbour Paper Co.",
    "Blue Kettle",
    "Old Mill Bakery",
    "Lantern & Sons",
    "Tin Roof Cafe",
)
_ARTICLES = (
    "Desk lamp",
    "Filing cabinet",
    "Ink ribbon",
    "Letter tray",
    "Punched tape",
    "Rubber stamp",
    "Typing chair",
)
_FIRST_DAY = date(2003, 3, 3)
_MOST_DOCUMENTS = 50


@dataclass(slots=True)
class Order:
    number: int
    day: date
    customer: str
    article: str
    quantity: int
    cents: int
    """Price of one piece."""
    status: str = "open"
    notes: list[tuple[str, str]] = field(default_factory=list)
    """(author, text), oldest first."""

    @property
    def total(self) -> int:
        """In cents."""
        return self.quantity * self.cents


@dataclass(frozen=True, slots=True)
class Payment:
    number: int
    order: int
    day: date
    cents: int
    method: str


@dataclass(frozen=True, slots=True)
class Document:
    number: int
    name: str
    content_type: str
    size: int
    sha256: str
    author: str
    path: Path


class TooManyDocuments(Exception):
    """The drawer is full."""


class Books:
    """The whole state of one sample application. `close` deletes the uploaded files."""

    def __init__(self, seed: int = 2003) -> None:
        # Made-up figures that are the same at every start; nothing secret depends on them.
        chance = random.Random(seed)  # noqa: S311
        self.orders: dict[int, Order] = {}
        self.payments: list[Payment] = []
        self.documents: dict[int, Document] = {}
        self.audit: list[tuple[str, str]] = []
        self._drawer: tempfile.TemporaryDirectory[str] | None = None
        self._next_document = 1
        for number in range(1001, 1061):
            order = Order(
                number=number,
                day=_FIRST_DAY + timedelta(days=(number - 1001) // 2),
                customer=chance.choice(_CUSTOMERS),
                article=chance.choice(_ARTICLES),
                quantity=chance.randint(1, 40),
                cents=chance.randint(150, 29_900),
                status=chance.choice(STATUSES),
            )
            self.orders[number] = order
            if order.status == "shipped":
                method = chance.choice(("cheque", "wire", "card"))
                paid = order.day + timedelta(days=chance.randint(3, 30))
                self.payments.append(Payment(7000 + number, number, paid, order.total, method))

    def close(self) -> None:
        if self._drawer is not None:
            self._drawer.cleanup()

    def note(self, author: str, what: str) -> None:
        """Write a line into the audit list, which keeps the latest 500."""
        self.audit.append((author, what))
        del self.audit[:-500]

    def search(self, text: str, status: str) -> list[Order]:
        """Orders whose number, customer or article holds `text`, newest first."""
        wanted = text.strip().casefold()
        return [
            order
            for order in sorted(self.orders.values(), key=lambda order: -order.number)
            if (not status or order.status == status)
            and (not wanted or wanted in f"{order.number} {order.customer} {order.article}".casefold())
        ]

    def add_order(self, author: str, customer: str, article: str, quantity: int, cents: int) -> Order:
        number = max(self.orders) + 1
        day = max(order.day for order in self.orders.values())
        order = Order(number, day, customer, article, quantity, cents)
        self.orders[number] = order
        self.note(author, f"created order {number}")
        return order

    def new_file(self) -> tuple[int, Path, BinaryIO]:
        """A numbered place for an upload: (number, path, file open for writing)."""
        if len(self.documents) >= _MOST_DOCUMENTS:
            raise TooManyDocuments
        if self._drawer is None:
            self._drawer = tempfile.TemporaryDirectory(prefix="sample-app-")
        number = self._next_document
        self._next_document += 1
        path = Path(self._drawer.name) / str(number)
        return number, path, path.open("wb")
