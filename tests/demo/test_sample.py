"""The sample application: it knows people only by the headers it is given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import httpx
import pytest

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving

ANN = {"Remote-User": "ann", "Remote-Name": "Ann Example"}


@pytest.fixture(scope="module")
def sample() -> Iterator[httpx.Client]:
    with serving(make_sample()) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


def test_greets_by_the_name_in_the_headers(sample: httpx.Client) -> None:
    assert "Good day, <b>Ann Example</b>." in sample.get("/", headers=ANN).text


def test_reads_a_name_outside_ascii(sample: httpx.Client) -> None:
    assert "Good day, <b>Zoë</b>." in sample.get("/", headers={b"Remote-Name": "Zoë".encode()}).text


def test_greets_nobody_when_no_header_came(sample: httpx.Client) -> None:
    assert "Good day, <b>nobody</b>." in sample.get("/").text


def test_markup_in_a_name_is_text(sample: httpx.Client) -> None:
    text = sample.get("/", headers={"Remote-Name": "<script>x</script>"}).text
    assert "<script>x" not in text
    assert "&lt;script&gt;x" in text


@pytest.mark.parametrize(
    "path", ["/orders", "/orders/1001", "/orders/new", "/payments", "/audit", "/documents", "/live"]
)
def test_every_page_is_there_and_names_the_person(sample: httpx.Client, path: str) -> None:
    answer = sample.get(path, headers=ANN)
    assert answer.status_code == 200
    assert "Ann Example" in answer.text


def test_search_narrows_the_list(sample: httpx.Client) -> None:
    everything, one = sample.get("/orders").text, sample.get("/orders", params={"q": "1007"}).text
    assert "60 found" in everything
    assert "1 found" in one
    assert "/orders/1007" in one


def test_page_numbers_that_are_none_show_the_first_page(sample: httpx.Client) -> None:
    for page in ("0", "x", "²", "99999999999999999999"):
        assert sample.get("/orders", params={"page": page}).status_code == 200


def test_a_new_order_appears_with_who_made_it(sample: httpx.Client) -> None:
    fields = {"customer": "Tea & Co", "article": "Kettle", "quantity": "2", "price": "12.50"}
    answer = sample.post("/orders", data=fields, headers=ANN)
    assert answer.status_code == 303
    detail = sample.get(answer.headers["location"]).text
    assert "Tea &amp; Co" in detail
    assert "25.00" in detail
    assert "created order" in sample.get("/audit").text


@pytest.mark.parametrize(
    "wrong", [{"price": "much"}, {"price": "inf"}, {"quantity": "-1"}, {"customer": " "}]
)
def test_an_order_that_makes_no_sense_is_refused(sample: httpx.Client, wrong: dict[str, str]) -> None:
    fields = {"customer": "Tea", "article": "Kettle", "quantity": "2", "price": "1"} | wrong
    assert sample.post("/orders", data=fields).status_code == 400


def test_a_note_is_kept_under_the_persons_name(sample: httpx.Client) -> None:
    sample.post("/orders/1003/notes", data={"text": "<b>call back</b>"}, headers=ANN)
    assert "<b>Ann Example:</b> &lt;b&gt;call back&lt;/b&gt;" in sample.get("/orders/1003").text


def test_a_document_comes_back_as_it_went_in(sample: httpx.Client) -> None:
    content = bytes(range(256)) * 4096
    sample.post("/documents", files={"file": ("../häßlich <x>.html", content, "text/html")}, headers=ANN)
    page = sample.get("/documents").text
    assert hashlib.sha256(content).hexdigest()[:16] in page
    assert "häßlich &lt;x&gt;.html" in page
    answer = sample.get("/documents/1")
    assert answer.content == content
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_what_is_not_there_is_said_so(sample: httpx.Client) -> None:
    for path in ("/orders/99", "/documents/99", "/nothing"):
        assert sample.get(path).status_code == 404


def test_a_taken_port_is_an_os_error(sample: httpx.Client) -> None:
    port = sample.base_url.port
    assert port is not None
    with pytest.raises(OSError, match="in use"), serving(make_sample(), port=port):
        pass
