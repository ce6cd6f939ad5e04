"""Several applications: whose a request is, and that nobody's rules are asked about another's page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.applications import Application, Applications, Place
from gatekeeper.core.errors import RequestRejected
from gatekeeper.core.headers import RequestHeaders
from gatekeeper.core.policy import compile_glob, make_policy
from gatekeeper.core.protocols import Receive, Scope, Send
from gatekeeper.core.target import STRICT, Leniency, read_path
from tests.fuzz import fuzz

HOST = "office.example.com"


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("nobody asks the application here")


def application(name: str, leniency: Leniency = STRICT, *background: str) -> Application:
    return Application(
        policy=make_policy([]),
        leniency=leniency,
        request_headers=RequestHeaders(
            identity_names=[], own_cookies=frozenset(), scheme="https", drop_overrides=False
        ),
        app=nothing,
        name=name,
        background_paths=tuple(map(compile_glob, background)),
    )


def two(front: Leniency = STRICT, reports: Leniency = STRICT) -> Applications:
    """Reports at /reports, something else at all the rest."""
    return Applications(
        [
            Place(HOST, "/", application("front", front)),
            Place(HOST, "/reports", application("reports", reports)),
        ]
    )


def owner(applications: Applications, path: str, host: str = HOST) -> str | None:
    found = applications.find(host, path.encode()).application
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/", "front"),
        ("/orders", "front"),
        ("/reports", "reports"),
        ("/reports/", "reports"),
        ("/reports/2026/a", "reports"),
        ("/%72eports/2026", "reports"),
        ("/reports2", "front"),
        ("/reports-old/x", "front"),
        ("/Reports", "front"),
        ("/x/reports", "front"),
        ("/report", "front"),
    ],
)
def test_a_path_belongs_to_the_application_whose_whole_segments_it_begins_with(path: str, whose: str) -> None:
    assert owner(two(), path) == whose


def test_the_longest_path_wins_in_whatever_order_they_are_written() -> None:
    places = [
        Place(HOST, path, application(path)) for path in ("/a", "/", "/a/b/c", "/long-name-of-one", "/a/b")
    ]
    for ordered in (places, places[::-1]):
        found = Applications(ordered)
        assert [owner(found, path) for path in ("/x", "/a/x", "/a/b", "/a/b/c/d", "/a/b/cc")] == [
            "/",
            "/a",
            "/a/b",
            "/a/b/c",
            "/a/b",
        ]


def test_a_path_of_nobody_and_a_host_without_applications_lead_nowhere() -> None:
    found = Applications([Place(HOST, "/reports", application("reports"))])
    assert owner(found, "/reports/x") == "reports"
    assert owner(found, "/") is None
    assert owner(found, "/reports2") is None
    assert owner(found, "/", "other.example.com") is None


def test_two_applications_cannot_be_in_one_place() -> None:
    with pytest.raises(ValueError, match=r"two applications at office\.example\.com/a"):
        Applications([Place(HOST, "/a", application("1")), Place(HOST, "/a", application("2"))])
    folding = Leniency(case_insensitive=True)
    with pytest.raises(ValueError, match="two applications"):
        Applications([Place(HOST, "/A", application("1", folding)), Place(HOST, "/a", application("2"))])
    Applications([Place(HOST, "/A", application("1")), Place(HOST, "/a", application("2"))])


def test_an_application_for_which_case_does_not_matter_is_found_in_every_case() -> None:
    found = two(reports=Leniency(case_insensitive=True))
    answer = found.find(HOST, b"/REPORTS/Year")
    assert answer.application is not None and answer.application.name == "reports"
    assert answer.path == "/REPORTS/Year"
    assert answer.readings == ("/reports/year",)
    other = found.find(HOST, b"/Orders")
    assert other.readings == ("/Orders",), "the neighbour's leniency is not this one's"


@pytest.mark.parametrize(
    "path",
    [
        "/reports%2Fadmin",  # decoded: reports; as it stands: the front's
        "/reports%2fadmin",
        "//reports/admin",  # collapsed: reports
        "/reports;x/admin",  # without the parameter: reports
        "/reports;/../x".replace("/..", ""),
        "/reports;v=1",
    ],
)
def test_what_two_applications_could_each_take_for_theirs_is_refused(path: str) -> None:
    everything = Leniency(encoded_slash=True, semicolon=True, double_slash=True)
    for lenient in (two(everything, everything), two(front=everything), two(reports=everything)):
        with pytest.raises(RequestRejected) as refused:
            lenient.find(HOST, path.encode())
        assert (refused.value.status, refused.value.reason) == (400, "path_application")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/reports/a%2Fb", "path_encoded_slash"),
        ("/reports/a;b", "path_parameter"),
        ("/reports//a", "path_double_slash"),
    ],
)
def test_one_applications_leniency_is_not_its_neighbours(path: str, reason: str) -> None:
    found = two(front=Leniency(encoded_slash=True, semicolon=True, double_slash=True))
    assert owner(found, path.replace("/reports", "/orders")) == "front"
    with pytest.raises(RequestRejected) as refused:
        found.find(HOST, path.encode())
    assert refused.value.reason == reason


def test_an_application_that_has_the_whole_host_is_read_as_if_it_were_the_only_one() -> None:
    lenient = Leniency(semicolon=True)
    found = Applications(
        [
            Place(HOST, "/", application("front", lenient)),
            Place("other.example.com", "/", application("other")),
        ]
    )
    assert found.find(HOST, b"/reports;x/a")[:2] == read_path(b"/reports;x/a", lenient)
    with pytest.raises(RequestRejected):
        found.find("other.example.com", b"/reports;x/a")


def test_polling_is_no_activity_however_it_is_spelled_where_case_does_not_matter() -> None:
    app = application("a", STRICT, "/poll/**")
    assert not app.counts_as_activity("/poll/x")
    assert app.counts_as_activity("/polls")


SEGMENTS = ["a", "b", "A", "ab", "a;b", "a%2Fb", "%61", "%2f", ";", "", "b;x=1", "a%2F%2Fb", "%3b", "ſ", "s"]
LENIENCIES = st.builds(Leniency, st.booleans(), st.booleans(), st.booleans(), st.booleans())
PLACES = ["/", "/a", "/b", "/a/b", "/b/a", "/A", "/s", "/a/b/a"]


def servers(raw: str) -> Iterator[str]:
    """Every path that some server could make of what it is sent."""
    for decoded in (unquote(raw), unquote(re.sub("(?i)%2f", "\x00", raw))):
        for plain in (decoded, re.sub(";[^/]*", "", decoded), decoded.split(";", 1)[0]):
            yield plain
            yield re.sub("/+", "/", plain)


def begins(path: str, place: str) -> bool:
    wanted = [segment for segment in place.split("/") if segment]
    return path.split("/")[1 : len(wanted) + 1] == wanted


@given(
    found=st.dictionaries(st.sampled_from(PLACES), LENIENCIES, min_size=1, max_size=5),
    raw=st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts)),
)
@fuzz(3000, share=0.3)
def test_no_request_is_judged_as_one_applications_and_read_as_anothers(
    found: dict[str, Leniency], raw: str
) -> None:
    raw = "".join(char if char.isascii() else "%C5%BF" for char in raw)
    try:
        applications = Applications(
            Place(HOST, path, application(path, leniency)) for path, leniency in found.items()
        )
    except ValueError:
        return  # /a and /A, one of which does not tell them apart
    try:
        path, readings, chosen = applications.find(HOST, raw.encode())
    except RequestRejected:
        return
    assert path == unquote(raw)
    for reading in servers(raw):
        fitting = [
            place
            for place, leniency in found.items()
            if begins(
                *((reading.casefold(), place.casefold()) if leniency.case_insensitive else (reading, place))
            )
        ]
        nearest = max(
            fitting, key=lambda place: len(place.strip("/").split("/")) if place != "/" else 0, default=None
        )
        assert nearest == (None if chosen is None else chosen.name), reading
    if chosen is not None:
        assert (path, readings) == read_path(raw.encode(), chosen.leniency)
