"""Closing or forgetting while a renewal is on its way: nothing is lost, and nothing comes back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from gatebook_client import FileCache, GatebookAuth, ReauthenticationRequired, ServiceUnavailable
from gatebook_client.testing import FakeIssuer
from gatebook_client.tokens import generation_of
from tests.clients_python.test_failing import expire, token_of


class Slow(httpx.MockTransport):
    """A service whose answer to `/refresh` is done, and comes when it is let."""

    def __init__(self, issuer: FakeIssuer) -> None:
        super().__init__(self.answer)
        self.issuer = issuer
        self.done, self.let = threading.Event(), threading.Event()

    def answer(self, request: httpx.Request) -> httpx.Response:
        found = cast("httpx.Response", self.issuer.transport.handler(request))
        if request.url.path == "/refresh":
            self.done.set()
            assert self.let.wait(60)
        return found


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow(FakeIssuer(rotate=True))
    yield made
    made.let.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as made:
        yield made


def given(slow: Slow, **more: Any) -> GatebookAuth:
    issuer = slow.issuer
    token = token_of(issuer)
    return GatebookAuth(issuer.issuer, refresh_token=token, transport=slow, **more)


def test_who_closes_loses_no_rotation_that_is_on_its_way(
    slow: Slow, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    path = tmp_path / "c.json"
    auth = given(slow, cache=path)
    caller = pool.submit(auth.access_token)
    assert slow.done.wait(60)
    closed = pool.submit(auth.close)
    assert auth._keeper._service._closing.wait(60)
    assert not closed.done()
    slow.let.set()
    closed.result(60)
    assert caller.result(60) == FileCache(path).read().access_token
    assert generation_of(FileCache(path).read().refresh_token or "") == 2
    assert auth.access_token() == caller.result()  # until it is over
    expire(auth)
    path.unlink()
    with pytest.raises(ValueError, match="It was closed"):
        auth.access_token()


@pytest.mark.parametrize("cached", [False, True])
def test_what_a_renewal_brings_that_was_on_is_forgotten_too(
    slow: Slow, pool: ThreadPoolExecutor, tmp_path: Path, cached: bool
) -> None:
    issuer, path = slow.issuer, tmp_path / "c.json"
    auth = issuer.auth(transport=slow, cache=path if cached else None)
    auth.access_token()
    assert auth.tokens is not None
    before = auth.tokens.session_id
    expire(auth)
    if cached:
        path.unlink()
    caller = pool.submit(auth.access_token)
    assert slow.done.wait(60)
    forgotten = pool.submit(auth.forget)
    if not cached:  # else it waits for the lock
        forgotten.result(60)
        assert auth.tokens is None
    slow.let.set()
    forgotten.result(60)
    caller.result(60)
    auth.access_token()
    assert auth.tokens is not None
    assert auth.tokens.session_id != before
    if cached:
        assert FileCache(path).read().refresh_token == auth.tokens.refresh_token


def test_a_token_that_was_given_and_replaced_while_it_was_forgotten_is_not_shown(
    slow: Slow, pool: ThreadPoolExecutor
) -> None:
    auth = given(slow)
    caller = pool.submit(auth.access_token)
    assert slow.done.wait(60)
    auth.forget()
    slow.let.set()
    with pytest.raises(ReauthenticationRequired, match="forgotten"):
        caller.result(60)
    assert auth.tokens is None
    assert slow.issuer.requests.count("POST /refresh") == 1


def test_nobody_waits_for_ever_for_a_renewal(slow: Slow) -> None:
    auth = given(slow)
    assert auth._keeper._longest == 30 + 3 * (30 + 4 * 10)
    auth._keeper._longest = 0.01
    with pytest.raises(ServiceUnavailable, match="doesn't end"):
        auth.access_token()
    with pytest.raises(ServiceUnavailable, match="doesn't end"):
        asyncio.run(auth.async_access_token())
