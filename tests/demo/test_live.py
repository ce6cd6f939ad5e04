"""The sample application's live board, over a real WebSocket."""

from __future__ import annotations

from websockets.sync.client import connect

from gatekeeper.demo.sample import make_sample
from gatekeeper.demo.serving import serving


def test_what_one_says_everybody_hears() -> None:
    with serving(make_sample()) as port:
        address = f"ws://127.0.0.1:{port}/live/feed"
        with (
            connect(address, additional_headers={"Remote-Name": "Ann"}) as ann,
            connect(address, additional_headers={"Remote-Name": "Bob"}) as bob,
        ):
            assert ann.recv(5) == "Hello Ann, you are connected."
            assert bob.recv(5) == "Hello Bob, you are connected."
            ann.send("good morning")
            heard = list(iter(lambda: bob.recv(5), "Ann: good morning"))
            assert all("order" in str(line) for line in heard)
