"""The common beginning of every POST: read the form, judge where it came from, record what was refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from starlette.requests import Request

from gatekeeper.audit.events import EventKind
from gatekeeper.pages.csrf import Csrf, Verdict
from gatekeeper.pages.forms import read_form
from gatekeeper.pages.page import context_of
from gatekeeper.pages.services import Audit


class Posted(NamedTuple):
    """A form and what is to be thought of it."""

    form: Mapping[str, str]
    verdict: Verdict

    def field(self, name: str) -> str:
        """The field's text, "" when it was not sent."""
        return self.form.get(name, "")

    @property
    def problem(self) -> str:
        """For templates: "" when genuine, else the verdict's name."""
        return "" if self.verdict is Verdict.GENUINE else self.verdict.value


class FormGuard:
    """Reads forms; a form that is not from our own pages leaves a trace in the audit log."""

    def __init__(self, csrf: Csrf, audit: Audit) -> None:
        self._csrf = csrf
        self._audit = audit

    async def read(self, request: Request) -> Posted:
        """Raises what `read_form` raises, and StoreUnavailable."""
        form = await read_form(request)
        posted = Posted(form, self._csrf.check(request, form))
        if posted.verdict in (Verdict.FOREIGN, Verdict.NO_COOKIE):
            context = context_of(request)
            user = context.session.user if context.session is not None else None
            await self._audit.record(
                EventKind.FORM_REFUSED,
                user_id=user.id if user else None,
                login=user.login if user else "",
                client=client_of(request),
                request_id=context.request_id,
                details={"form": request.scope["path"], "why": posted.problem},
            )
        return posted


def client_of(request: Request) -> str:
    """The client's address as the gate believes it; "" when unknown."""
    facts = context_of(request).facts
    return facts.client if facts is not None else ""
