"""An application that says who asked what, hashes uploads and streams downloads. Run as a program."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from typing import Any

import uvicorn

BLOCK = hashlib.sha256(b"block").digest() * 2048  # 64 KiB
"""The download is this block again and again."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/upload":
        await _upload(receive, send)
    elif scope["path"].startswith("/download/"):
        await _download(int(scope["path"].removeprefix("/download/")), send)
    else:
        await _echo(scope, send)


async def _echo(scope: Any, send: Any) -> None:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    user = headers.get("remote-user", "nobody")
    await asyncio.sleep(0)
    body = json.dumps({"user": user, "path": scope["path"], "cookie": headers.get("cookie", "")}).encode()
    answer = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    answer += [(b"set-cookie", f"mine={user}".encode()), (b"x-asked-by", user.encode())]
    await send({"type": "http.response.start", "status": 200, "headers": answer})
    await send({"type": "http.response.body", "body": body})


async def _upload(receive: Any, send: Any) -> None:
    digest, size = hashlib.sha256(), 0
    while True:
        message = await receive()
        piece = message.get("body", b"")
        digest.update(piece)
        size += len(piece)
        if not message.get("more_body"):
            break
    body = f"{size} {digest.hexdigest()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _download(blocks: int, send: Any) -> None:
    length = str(blocks * len(BLOCK)).encode()
    headers = [(b"content-length", length), (b"content-type", b"application/octet-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(blocks):
        await send({"type": "http.response.body", "body": BLOCK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", ws="none", lifespan="off")
