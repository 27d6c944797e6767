"""A tiny app behind the server, for its tests: it tells what it was asked, and can misbehave.

A program, of which `tests.http.raw` starts one process after another.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from app import logs
from app.http.observe import REFUSAL
from app.limits import Limits
from app.server import serve
from app.settings import load
from domain.errors import Unavailable

ISSUER = "https://auth.example.org/id"


class Echo:
    """A tiny app: it tells what it was asked, and can wait, stream, refuse early or not start."""

    def __init__(self, *, failing: str) -> None:
        self.failing = failing
        self.calls = 0
        self.gone = 0
        self.refusals = 0
        self.stopping = asyncio.Event()
        self.released = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        if scope["type"] == REFUSAL:
            self.refusals += 1
            return
        handler = getattr(self, scope["path"].strip("/") or "echo")
        await handler(scope, receive, send)

    async def lifespan(self, receive, send) -> None:
        await receive()
        if self.failing == "unavailable":
            raise Unavailable("The store is gone.")
        if self.failing == "refused":
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.failing == "late":
            raise RuntimeError("can't stop")
        if self.failing == "never":
            await asyncio.Event().wait()
        await send({"type": "lifespan.shutdown.complete"})

    async def echo(self, scope, receive, send) -> None:
        self.calls += 1
        body = await read_body(receive)
        if body is None:
            self.gone += 1
            return
        told = {
            "method": scope["method"],
            "version": scope["http_version"],
            "headers": [
                [name.decode(), value.decode("latin-1")] for name, value in scope["headers"]
            ],
            "body": body.decode(),
            "client": scope["client"][0],
            "scheme": scope["scheme"],
        }
        await answer(send, 200, json.dumps(told).encode())

    async def state(self, _scope, receive, send) -> None:
        await read_body(receive)
        counts = {"calls": self.calls, "gone": self.gone, "refusals": self.refusals}
        told = {**counts, "pid": os.getpid()}
        await answer(send, 200, json.dumps(told).encode())

    async def slow(self, _scope, receive, send) -> None:
        await read_body(receive)
        self.entered.set()
        await self.released.wait()
        await answer(send, 200, b'"slow"')

    async def release(self, _scope, _receive, send) -> None:
        await self.entered.wait()
        self.released.set()
        await answer(send, 200, b"{}")

    async def early(self, _scope, _receive, send) -> None:
        await answer(send, 413, b'"early"')

    async def deaf(self, _scope, _receive, send) -> None:
        await begin(send)
        await asyncio.Event().wait()

    async def stream(self, _scope, _receive, send) -> None:
        await begin(send)
        await self.stopping.wait()
        await send({"type": "http.response.body", "body": b"last", "more_body": False})

    async def flood(self, _scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not self.stopping.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)


async def read_body(receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def begin(send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    first = b"first from %d\n" % os.getpid()
    await send({"type": "http.response.body", "body": first, "more_body": True})


async def answer(send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(options: dict) -> int:
    logs.configure("json")
    environ = {"GATEBOOK_PORT": "0", "GATEBOOK_ISSUER": ISSUER, **options["environ"]}
    app = Echo(failing=options["failing"])
    return serve(
        lambda: app,
        load(environ).settings,
        on_stop=app.stopping.set,
        limits=Limits(**options["limits"]),
    )


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
