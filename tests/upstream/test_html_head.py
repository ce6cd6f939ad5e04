"""Where the script goes, however the page begins and however it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.upstream.html_head import Found, HeadScanner

# The bar is where the script goes.
PAGES = [
    "<!doctype html><html><head>|<title>Orders</title></head><body>x</body></html>",
    "<!DOCTYPE html>\n<html lang=en>\n<head>|\n  <meta charset=utf-8>\n</head>\n<body>",
    "<head>|</head>",
    "<html><head>|</head>",
    "<HTML><HEAD PROFILE=x>|</HEAD>",
    "\ufeff<!doctype html><head>|<title>ü</title></head>",
    " \n\t<!-- <head> --><!doctype html><!-- <html> --><html><!--x--><head>|</head>",
    "<!--><!doctype html><html><head>|</head>",
    "<!---><!doctype html><html><head>|</head>",
    "<!----><!doctype html><html><head>|</head>",
    "<!-- a --!><!doctype html><html><head>|</head>",
    "<!-- > -- --- <head> ---><html><head>|</head>",
    '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "x"><html><head>|</head>',
    "<!doctype html><!--[if IE]><html class=ie><![endif]--><!--[if !IE]><!--><html><!--<![endif]-->"
    "<head>|</head>",
    "<!doctype html><![if !IE]><html><head>|</head>",
    "<html data-a='x>y' data-b=\"</head>\" data-c = '<head>'><head data-d=\">\">|</head>",
    "<html data-a=x/y/ data-b><head/>|</head>",
    "<html a\"b><head>|</head>",
    "<html =\"x><head>|</head>",
    "<html a=><head>|</head>",
    "<html\n\tlang\n=\n'de'\n><head\n>|</head>",
    "<!doctype html><html>|<title>No head</title><body>",
    "<!doctype html>|<title>Nothing but a doctype</title><p>x",
    "<!doctype html><html><!-- first -->|<body class='>'>x",
    "<!doctype html>\n|Text at once",
    "<!doctype html>|</p>x",
    "<html>|<frameset>",
    "<html>|<body>x</body>",
    "<html><head>|<header>no head element</header>",
    "<!doctype html><html><!-- ä€😀 --><head>|<title>ä€😀</title></head>",
]  # fmt: skip

FRAGMENTS = [
    "",
    "   \n",
    "<p>one</p>",
    "text <html><head></head>",
    "<!-- comment --><div><html><head></head></div>",
    "<title>x</title><html><head></head>",
    "<header>x</header>",
    "<heading>",
    "<htmlx><head></head>",
    "</head><html>",
    "<>x<html>",
    '{"html": "<html><head></head>"}',
    "<script>document.write('<html>')</script>",
    "<template><html></template>",
    "\ufeff{}",
]


def scanned(page: bytes, cuts: list[int] | None = None) -> HeadScanner:
    scanner = HeadScanner()
    edges = [0, *sorted(cuts or ()), len(page)]
    pieces = [page[begin:end] for begin, end in itertools.pairwise(edges)]
    for index, piece in enumerate(pieces):
        scanner.feed(piece, last=index == len(pieces) - 1)
    return scanner


def with_bar(scanner: HeadScanner, length: int = 1) -> bytes:
    page = bytes(scanner.data)
    at = scanner.place(length)
    return page[:at] + b"|" + page[at:]


@pytest.mark.parametrize("marked", PAGES)
def test_the_place_is_the_first_thing_in_the_head(marked: str) -> None:
    page = marked.replace("|", "").encode()
    scanner = scanned(page)
    assert scanner.found in (Found.PLACE, Found.HEAD)
    assert with_bar(scanner).decode() == marked


@pytest.mark.parametrize("marked", PAGES)
def test_it_is_the_same_when_the_page_comes_byte_by_byte(marked: str) -> None:
    page = marked.replace("|", "").encode()
    scanner = scanned(page, list(range(1, len(page))))
    assert with_bar(scanner).decode() == marked


@given(st.sampled_from(PAGES), st.lists(st.integers(0, 300), max_size=8))
def test_it_is_the_same_wherever_the_page_is_cut(marked: str, cuts: list[int]) -> None:
    page = marked.replace("|", "").encode()
    assert with_bar(scanned(page, [min(cut, len(page)) for cut in cuts])).decode() == marked


@pytest.mark.parametrize("fragment", FRAGMENTS)
@pytest.mark.parametrize("byte_by_byte", [False, True])
def test_a_fragment_has_no_place(fragment: str, byte_by_byte: bool) -> None:
    page = fragment.encode()
    scanner = scanned(page, list(range(1, len(page))) if byte_by_byte else [])
    assert scanner.found in (Found.NO_DOCUMENT, Found.NOTHING)


@given(st.text(alphabet="<>!-/\"'= ahedtmlßscripo\n", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_cutting_never_changes_what_is_found(text: str, cuts: list[int]) -> None:
    page = ("<!doctype html>" + text).encode()
    whole, cut = scanned(page), scanned(page, [min(at, len(page)) for at in cuts])
    assert with_bar(whole) == with_bar(cut)
    assert (whole.found, whole.policies) == (cut.found, cut.policies)


def test_utf_16_is_no_document() -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        page = "<!doctype html><html><head></head>".encode(encoding)
        assert scanned(page).found in (Found.NO_DOCUMENT, Found.NOTHING)


def test_policies_in_the_head_are_found_entities_resolved() -> None:
    scanner = scanned(
        b"<head><title><meta http-equiv=content-security-policy content=no></title>"
        b"<!-- <meta http-equiv=content-security-policy content=no> -->"
        b"<script>'<meta http-equiv=content-security-policy content=no>'</script>"
        b"<style></style><noscript><meta http-equiv=content-security-policy content=no></noscript>"
        b"<META CONTENT=\"script-src &#39;self&#39;; img-src '>'\" HTTP-EQUIV=' Content-Security-Policy '>"
        b"<meta name=content-security-policy content=no><link rel=stylesheet href=x>"
        b"<meta http-equiv=content-security-policy content=two></head>"
        b"<meta http-equiv=content-security-policy content=no>"
    )
    assert scanner.policies == ["script-src 'self'; img-src '>'", "two"]
    assert scanner.found is Found.HEAD


def test_the_declaration_of_the_encoding_stays_where_browsers_look() -> None:
    comment = b"<!--" + b"x" * 960 + b"-->"
    page = b"<!doctype html><html><head>" + comment + b"<meta charset=koi8-r><title>x</title></head>"
    scanner = scanned(page)
    assert scanner.charset == "koi8-r"
    at = scanner.place(120)
    assert page[:at].endswith(b"<meta charset=koi8-r>")
    assert page[: scanner.place(1)].endswith(b"<head>")  # one byte does not move it out of sight


def test_a_content_type_element_declares_it_too() -> None:
    page = b"<head><meta http-equiv=Content-Type content='text/html; charset=ISO-2022-JP'></head>"
    assert scanned(page).charset == "iso-2022-jp"


def test_a_long_script_byte_by_byte_is_read_once() -> None:
    page = b"<head><script>" + b"if (a < b && c > d) '</scripty>';" * 1500 + b"</script ></head>"
    scanner = scanned(page, list(range(1, len(page))))
    assert scanner.found is Found.HEAD
    assert scanner.place(1) == len(b"<head>")
