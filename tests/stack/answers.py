"""Who gets what answer: one table for everything that answers (see test_answers.py)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

HOST = "office.example.com"
WIKI = "wiki.example.com"
RULES: list[dict[str, Any]] = [
    {"path": "/health", "methods": "GET", "allow": "public"},
    {"path": "/internal/**", "allow": "deny"},
    {"host": "other.example.com", "allow": "public"},
    {"host": f"{HOST}:8443", "path": "/port/**", "allow": "public"},
    {"host": "*.Example.com.", "path": "/wild/**", "allow": "public"},
    {"path": "/admin/**", "networks": ["10.0.0.0/8", "2001:db8::/32"], "allow": {"roles": "ops"}},
    {"path": "/admin/**", "allow": "deny"},
    {"path": "/payments/**", "methods": "GET", "allow": {"roles": ["payments", "audit"]}},
    {"path": "/payments/**", "allow": {"roles": "payments", "two_factor": "10m"}},
    {"path_regex": r"/reports/[0-9]{4}(\.pdf)?", "allow": {"users": ["PAT"]}},
    {"path": "/vault/**", "allow": {"two_factor": True}},
    {"path": "/open/**", "networks": "192.0.2.0/24", "allow": "public"},
    {"path": "/größe/*", "methods": ["POST", "PUT"], "allow": "deny"},
]
WIKI_RULES: list[dict[str, Any]] = [
    {"path": "/internal/about", "allow": "public"},
    {"path": "/edit/**", "methods": ["POST"], "allow": {"roles": ["audit", "ops"]}},
]
BOOK_RULES: list[dict[str, Any]] = [
    {"path": "/books/prices", "allow": "signed_in"},
    {"path": "/books/**", "methods": "GET", "allow": {"roles": "payments"}},
]
ROLES = {
    "ada": ["ops"],
    "paula": ["payments"],
    "audrey": ["audit"],
    "pat": [],
    "half": ["ops", "payments", "newcomers"],
}
"""People. Newcomers need a second factor and have none, so `half` never gets through signing in."""
OLD = 1200.0
"""Seconds since `ada-old` and `paula-old` proved a second factor; `-fresh` proved it just now."""

HOME, OFFICE = "192.0.2.7", "10.1.2.3"

PASS, LOGIN, CODE, REFUSED, MALFORMED, FOREIGN = "pass", "login", "code", "refused", "malformed", "foreign"
"""Answers: the application's; go and sign in; prove a second factor; 403; 400; not our host (421)."""


class Case(NamedTuple):
    who: str
    """Somebody of ROLES, perhaps with -old or -fresh; "nobody", or "forged" with a cookie of no worth."""
    method: str
    target: str
    client: str
    """As in X-Forwarded-For."""
    host: str
    script: bool
    answer: str

    @property
    def user(self) -> str:
        """Whom the application is told of when it is asked."""
        login = self.who.partition("-")[0]
        return "nobody" if login in ("nobody", "forged", "half") else login


class _Block(NamedTuple):
    """One request of several people. `people` of each answer are separated by spaces."""

    request: str
    answers: dict[str, str]
    client: str = HOME
    host: str = HOST
    script: bool = False


_ALL = "nobody forged half ada paula audrey pat"
_IN = "ada paula audrey pat"
_OUT = "nobody forged half"
_BLOCKS = [
    # Public for GET alone, and for exactly that path.
    _Block("GET /health", {PASS: _ALL}),
    _Block("HEAD /health", {PASS: "nobody ada"}),
    _Block("GET /health?x=/internal/y", {PASS: "nobody"}),
    _Block("GET /%68ealth", {PASS: "nobody"}),
    _Block("POST /health", {LOGIN: _OUT, PASS: "ada"}),
    _Block("GET /health/", {LOGIN: "nobody", PASS: "pat"}),
    _Block("GET /Health", {LOGIN: "nobody", PASS: "pat"}),
    # Nobody's.
    _Block("GET /internal", {REFUSED: _ALL}),
    _Block("GET /internal/x/y", {REFUSED: "nobody ada-fresh"}),
    _Block("POST /%69nternal/x", {REFUSED: "nobody ada"}, script=True),
    _Block("GET /internals", {LOGIN: "nobody", PASS: "ada"}),
    # No rule: signed in.
    _Block("GET /", {LOGIN: _OUT, PASS: _IN}),
    _Block("GET /orders?a=1", {LOGIN: _OUT, PASS: "ada-old"}, script=True),
    _Block("DELETE /orders/7", {LOGIN: _OUT, PASS: "pat"}, script=True),
    _Block("PROPFIND /orders", {LOGIN: "nobody", PASS: "pat"}),
    # Hosts, however they are written.
    _Block("GET /wild/a", {PASS: "nobody half ada"}),
    _Block("GET /wild/a", {PASS: "nobody pat"}, host="OFFICE.Example.com."),
    _Block("GET /wild/a", {PASS: "nobody"}, host=f"{HOST}:443"),
    _Block("GET /wild/a", {FOREIGN: "nobody ada"}, host=f"{HOST}:8443"),
    _Block("GET /wild/a", {FOREIGN: "nobody ada"}, host="other.example.com"),
    _Block("GET /wild/a", {FOREIGN: "nobody"}, host=f"{HOST}.evil.example"),
    _Block("GET /port/a", {LOGIN: "nobody", PASS: "pat"}),
    _Block("GET /internal", {REFUSED: "nobody ada"}, host="office.EXAMPLE.com"),
    # Operations, from the office's networks only.
    _Block("GET /admin", {LOGIN: _OUT, PASS: "ada", REFUSED: "paula audrey pat"}, client=OFFICE),
    _Block("GET /admin", {REFUSED: _ALL}),
    _Block("POST /admin/x", {PASS: "ada", REFUSED: "pat", LOGIN: "nobody"}, client="::ffff:10.1.2.3"),
    _Block("GET /admin/x", {PASS: "ada ada-old", REFUSED: "pat"}, client="2001:db8::7"),
    _Block("GET /admin/x", {PASS: "ada"}, client="[2001:DB8::7]:4711"),
    _Block("GET /admin/x", {PASS: "ada"}, client="10.255.255.255:80"),
    _Block("GET /admin/x", {REFUSED: "ada nobody"}, client="2001:db9::7"),
    _Block("GET /admin/x", {REFUSED: "ada"}, client="11.0.0.1"),
    _Block("GET /admin/x", {REFUSED: "ada"}, client="::ffff:192.0.2.7"),
    _Block("GET /admin/x", {REFUSED: "ada"}, client="10.1.2.3, 192.0.2.7"),  # the left one anybody can write
    _Block("GET /admin/x", {REFUSED: "ada"}, client="10.1.2.3, unknown"),
    _Block("GET /admin/x", {PASS: "ada"}, client="192.0.2.7, 10.1.2.3"),
    _Block("GET /admin/x", {PASS: "ada"}, client="evil, 10.1.2.3, 127.0.0.1"),
    _Block("GET /administrator", {LOGIN: "nobody", PASS: "pat"}, client=OFFICE),
    # Audit may read; who pays needs a fresh code to write.
    _Block("GET /payments/7", {LOGIN: _OUT, PASS: "paula audrey paula-old", REFUSED: "ada pat ada-fresh"}),
    _Block("HEAD /payments", {PASS: "paula audrey", REFUSED: "ada", LOGIN: "nobody"}),
    _Block("POST /payments", {CODE: "paula paula-old", PASS: "paula-fresh", REFUSED: "audrey ada ada-fresh"}),
    _Block("POST /payments", {LOGIN: _OUT}),
    _Block(
        "PUT /payments/7",
        {CODE: "paula paula-old", PASS: "paula-fresh", REFUSED: "audrey pat", LOGIN: _OUT},
        script=True,
    ),
    _Block("OPTIONS /payments/7", {CODE: "paula", REFUSED: "audrey"}),
    _Block("DELETE /p%61yments/7", {CODE: "paula", REFUSED: "audrey"}, script=True),
    # One person, by a regular expression.
    _Block("GET /reports/2026", {LOGIN: _OUT, PASS: "pat", REFUSED: "ada paula audrey ada-fresh"}),
    _Block("GET /reports/2026.pdf", {PASS: "pat", REFUSED: "ada"}, script=True),
    _Block("GET /reports/2026.pdf?/reports/x", {PASS: "pat", REFUSED: "ada"}),
    _Block("GET /reports/20266", {PASS: "ada", LOGIN: "nobody"}),
    _Block("GET /reports/2026/", {PASS: "ada"}),
    _Block("GET /x/reports/2026", {PASS: "ada"}),
    _Block("GET /reports/2026xpdf", {PASS: "ada"}),
    _Block("POST /%72eports/2026", {PASS: "pat", REFUSED: "ada"}),
    # A second factor, whenever.
    _Block("GET /vault", {LOGIN: _OUT, CODE: "ada paula pat", PASS: "ada-fresh ada-old paula-old"}),
    _Block("GET /vault/a?b=c", {LOGIN: _OUT, CODE: "ada audrey", PASS: "paula-fresh"}, script=True),
    _Block("POST /vault/a", {CODE: "ada", PASS: "ada-old", LOGIN: "half"}),
    _Block("GET /vaults", {PASS: "ada"}),
    # Public for a network.
    _Block("GET /open/a", {PASS: _ALL}),
    _Block("GET /open/a", {LOGIN: _OUT, PASS: _IN}, client=OFFICE),
    _Block("GET /open/a", {PASS: "nobody"}, client="::ffff:192.0.2.255"),
    _Block("GET /open/a", {LOGIN: "nobody"}, client="192.0.3.0", script=True),
    _Block("GET /open/a", {LOGIN: "nobody"}, client="192.0.2.7, 203.0.113.9"),
    # Beyond ASCII, decoded once.
    _Block("POST /gr%C3%B6%C3%9Fe/1", {REFUSED: "nobody ada"}),
    _Block("GET /gr%c3%b6%c3%9fe/1", {LOGIN: "nobody", PASS: "ada"}),
    _Block("PUT /gr%C3%B6%C3%9Fe/1/2", {LOGIN: "nobody", PASS: "ada"}),
    # What two servers could read differently is refused before any rule.
    _Block("GET /x/../internal", {MALFORMED: "nobody ada"}),
    _Block("GET /x/%2e%2e/internal", {MALFORMED: "nobody ada"}),
    _Block("GET /health/..;/internal", {MALFORMED: "nobody ada"}),
    _Block("GET /internal%2Fx", {MALFORMED: "ada"}),
    _Block("GET //internal", {MALFORMED: "nobody ada"}),
    _Block("GET /health;x", {MALFORMED: "nobody"}, script=True),
    _Block("GET /%2569nternal", {MALFORMED: "ada"}),
    _Block("GET /a%5Cinternal", {MALFORMED: "ada"}),
    _Block("GET /a%00", {MALFORMED: "ada"}),
    _Block("GET /%zz", {MALFORMED: "ada"}, script=True),
    _Block("GET /%C0%AFinternal", {MALFORMED: "ada"}),
    # Another application on another host: its own rules first, then those of everybody.
    _Block("GET /internal/about", {PASS: "nobody half ada"}, host=WIKI),
    _Block("GET /internal/about", {PASS: "nobody"}, host="WIKI.example.com.:443"),
    _Block("GET /internal/about", {REFUSED: "nobody ada"}),
    _Block("GET /internal/other", {REFUSED: "nobody ada"}, host=WIKI),
    _Block("GET /INTERNAL/other", {REFUSED: "nobody ada"}, host=WIKI),  # it does not tell them apart
    _Block("GET /INTERNAL/other", {LOGIN: "nobody", PASS: "ada"}),
    _Block("GET /health", {PASS: "nobody ada"}, host=WIKI),
    _Block("POST /edit/7", {LOGIN: _OUT, PASS: "ada audrey", REFUSED: "paula pat"}, host=WIKI),
    _Block("POST /edit/7", {LOGIN: _OUT, PASS: _IN}, script=True),
    _Block("POST /Edit/7", {PASS: "audrey", REFUSED: "pat"}, host=WIKI, script=True),
    _Block("GET /edit/7", {LOGIN: "nobody", PASS: "pat"}, host=WIKI),
    _Block("GET /vault", {CODE: "ada", PASS: "ada-fresh", LOGIN: "nobody"}, host=WIKI),
    _Block("GET /wild/a", {PASS: "nobody"}, host=WIKI),
    _Block("GET /books/1", {LOGIN: "nobody", PASS: "ada"}, host=WIKI),
    _Block("GET /", {FOREIGN: "nobody ada"}, host=f"books.{WIKI}"),
    # And one at a path of the same host, in whole segments.
    _Block("GET /books/1", {LOGIN: _OUT, PASS: "paula", REFUSED: "ada audrey pat"}),
    _Block("GET /books", {PASS: "paula", REFUSED: "ada", LOGIN: "nobody"}, script=True),
    _Block("GET /%62ooks/1?x=/", {PASS: "paula", REFUSED: "ada"}),
    _Block("GET /books/prices", {LOGIN: _OUT, PASS: _IN}),
    _Block("POST /books/1", {PASS: "ada", LOGIN: "nobody"}),
    _Block("GET /booksellers", {PASS: "ada", LOGIN: "nobody"}),
    _Block("GET /Books/1", {PASS: "ada", LOGIN: "nobody"}),
    # Whose would that be? What books may, its neighbour may not.
    _Block("GET /books/a%2Fb", {PASS: "paula", REFUSED: "ada"}),
    _Block("GET /orders/a%2Fb", {MALFORMED: "ada"}),
    _Block("GET /books%2F1", {MALFORMED: "nobody paula"}),
    _Block("GET /x%2F..%2Fbooks/1", {MALFORMED: "paula"}),
]


def cases() -> Iterator[Case]:
    """The table, row by row."""
    for block in _BLOCKS:
        method, target = block.request.split(" ")
        for answer, people in block.answers.items():
            for who in people.split():
                yield Case(who, method, target, block.client, block.host, block.script, answer)
