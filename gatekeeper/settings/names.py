"""The small grammars: the prefix of our own pages, path globs, header names, cookie names, methods."""

from __future__ import annotations

import re
from urllib.parse import unquote

from gatekeeper.core.policy import compile_glob, compile_path_regex
from gatekeeper.settings.problems import did_you_mean

_PREFIX = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9_.~-]*){1,4}\Z")
_HEADER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\Z")
_COOKIE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")

METHODS = frozenset(
    "GET HEAD POST PUT PATCH DELETE OPTIONS QUERY "
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY LABEL LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL "
    "MKREDIRECTREF MKWORKSPACE MOVE ORDERPATCH PROPFIND PROPPATCH REBIND REPORT SEARCH UNBIND UNCHECKOUT "
    "UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL PURGE".split()
)
"""The IANA registry's methods (RFC 9110 section 16.1.1) and PURGE; CONNECT and TRACE are always refused."""

TAKEN_HEADERS = frozenset(
    "host connection content-length content-type content-encoding transfer-encoding upgrade te trailer "
    "keep-alive proxy-connection proxy-authorization proxy-authenticate expect cookie set-cookie accept "
    "authorization origin referer range location user-agent forwarded x-forwarded-for x-forwarded-proto "
    "x-forwarded-host x-request-id sec-websocket-key sec-websocket-version sec-websocket-protocol "
    "sec-websocket-extensions sec-websocket-accept".split()
)
"""Names that mean something else on the way to the application."""


def check_prefix(text: str) -> str:
    """The path under which our own pages are; `ValueError` says what is wrong."""
    if not text.startswith("/"):
        raise ValueError(f"must begin with a slash: /{text}")
    if text != "/" and text.endswith("/"):
        raise ValueError(f"must not end with a slash: {text.rstrip('/') or '/_gate'}")
    if len(text) > 64 or not _PREFIX.match(text):
        raise ValueError("must be a plain path of letters, digits, `_`, `-`, `.` and `~`, such as /_gate")
    return text


def check_glob(text: str) -> str:
    """A path pattern for `core.policy.compile_glob`; `ValueError` also for what only seems to mean something.

    Rules see the path decoded exactly once, without query.
    """
    if not text.startswith("/"):
        raise ValueError(f"must begin with a slash: /{text}")
    if "%" in text:
        raise ValueError(f"is matched against the decoded path: write it decoded, {unquote(text)}")
    if re.search(r"\?[^/]*=", text):
        raise ValueError("has a query, which rules do not see (`?` is any one character of a segment)")
    if sign := re.search(r"[\[\]{}]", text):
        raise ValueError(
            f"has `{sign[0]}`, which is no wildcard: there are `*`, `?` and `**` (whole segments)"
        )
    if any(segment in (".", "..") for segment in text.split("/")):
        raise ValueError("has a dot segment, which is refused before any rule")
    compile_glob(text)
    return text


def check_path_regex(text: str) -> str:
    """A regular expression for `core.policy.compile_path_regex`; `ValueError` also when none could match.

    It is matched against the whole path, decoded exactly once, without host and query.
    """
    begin = text.removeprefix("^")
    if begin[:1].isalnum() or begin.startswith("http"):
        raise ValueError(f"matches no path: every path begins with a slash, as in /{begin}")
    compile_path_regex(text)
    return text


def check_header(text: str) -> str:
    """A header name of letters, digits and hyphens that no other use has; `ValueError` otherwise.

    RFC 9110 section 5.6.2 allows more, but `_` and `.` become `-` in many applications.
    """
    if len(text) > 64 or not _HEADER.match(text):
        hint = text.replace("_", "-").replace(" ", "-").replace(".", "-")
        better = f"; did you mean {hint}?" if hint != text and _HEADER.match(hint) else ""
        raise ValueError(f"must be a header name of letters, digits and hyphens{better}")
    if text.lower() in TAKEN_HEADERS:
        raise ValueError(f"{text} has another meaning in HTTP: choose a name such as Remote-User")
    return text


def check_cookie_name(text: str) -> str:
    """Letters, digits and `_` (nginx's `$cookie_NAME` can read no others); `ValueError` otherwise."""
    if text.lower().startswith(("__host-", "__secure-")):
        raise ValueError("write the name without __Host- or __Secure-, which is added on https")
    if not _COOKIE.match(text):
        raise ValueError("must be letters, digits and `_`, beginning with a letter, at most 64")
    return text


def check_method(text: str) -> str:
    """A known method in upper case; a misspelt one would leave a rule without effect."""
    if text not in METHODS:
        near = f", did you mean {text.upper()}?" if text.upper() in METHODS else did_you_mean(text, METHODS)
        raise ValueError(f"{text} is not a method{near}")
    return text
