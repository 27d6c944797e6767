"""A request that the stopping server doesn't wait for any longer is told so."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

from app import logs
from app.http.auth import canonical
from app.http.observe import Observed


async def never(_scope: Any, _receive: Any, _send: Any) -> None:
    await asyncio.Event().wait()


async def cut_off(app: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": True}

    log = logs.configure("json", io.TextIOWrapper(io.BytesIO()))
    observed = Observed(app, log, lambda *_: None, issuer="https://id.example")
    scope: Any = {"type": "http", "method": "POST", "headers": [], "path": "/revoke"}
    task = asyncio.create_task(observed(scope, receive, send))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return sent


def test_a_request_cut_off_by_stopping_is_a_problem_and_not_a_fault() -> None:
    start, body = asyncio.run(cut_off(never))
    headers = dict(start["headers"])
    assert start["status"] == 503
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"retry-after"] == b"1"
    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert json.loads(body["body"])["code"] == "unavailable"
    assert json.loads(body["body"])["request_id"] == headers[b"x-request-id"].decode()


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    async def half(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    assert [message["type"] for message in asyncio.run(cut_off(half))] == ["http.response.start"]


def test_an_address_has_one_spelling() -> None:
    assert canonical("2001:DB8:0:0:0:0:0:9") == "2001:db8::9"
    assert canonical("::ffff:5.6.7.8") == "5.6.7.8"
    assert canonical("192.0.2.1") == "192.0.2.1"
    assert canonical("garbage") is None
    assert canonical("") is None
