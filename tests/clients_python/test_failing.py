"""What fails isn't asked for in a loop, loses nothing, and is noticed when it is well again."""

from __future__ import annotations

import asyncio
import io
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import requests
from rich.pretty import pretty_repr

from gatebook_client import FileCache, GatebookAuth, GatebookError, ReauthenticationRequired, Tokens
from gatebook_client.adapters.requests import RequestsAuth
from gatebook_client.credentials import Credentials, _Profile
from gatebook_client.errors import (
    CacheUnavailable,
    Fault,
    InvalidRequest,
    Problem,
    ServiceUnavailable,
    UnexpectedAnswer,
)
from gatebook_client.flight import SingleFlight
from gatebook_client.hold import HoldOff
from gatebook_client.keeper import _Answered
from gatebook_client.kept import Kept
from gatebook_client.testing import FakeIssuer
from gatebook_client.tokens import generation_of


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds by which the monotonic clock is moved on."""
    real, later = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + later[0])
    return later


class Full(FileCache):
    """On a disk that may be full."""

    full = False

    def of(self, url: str, identity: str) -> FileCache:
        return self

    def write(self, kept: Kept) -> None:
        if self.full:
            raise CacheUnavailable("full")
        super().write(kept)


def token_of(issuer: FakeIssuer) -> str:
    """A refresh token of a new session."""
    begun = issuer.auth()
    begun.access_token()
    assert begun.tokens is not None
    return begun.tokens.refresh_token or ""


def given(issuer: FakeIssuer, token: str, **more: Any) -> GatebookAuth:
    return GatebookAuth(issuer.issuer, refresh_token=token, transport=issuer.transport, **more)


def expire(auth: GatebookAuth) -> None:
    held = auth._keeper._held
    assert held is not None
    auth._keeper._held = msgspec.structs.replace(held, old=0.0, over=0.0)


def settle(auth: GatebookAuth) -> None:
    """Wait for what goes on beside the work."""
    auth._keeper._flight.join(lambda: auth._keeper._held).result()


def test_a_successor_that_cannot_be_written_is_not_lost(tmp_path: Path, now: list[float]) -> None:
    issuer = FakeIssuer(rotate=True, ttl=100)
    token, cache = token_of(issuer), Full(tmp_path / "c.json")
    auth = given(issuer, token, cache=cache)
    cache.full = True
    assert auth.access_token()
    asked = list(issuer.requests)
    for _ in range(10):  # it is good, and is used
        assert auth.access_token()
    now[0] += 200  # it is over: no successor is shown that nobody else can know
    for _ in range(3):
        with pytest.raises(CacheUnavailable):
            auth.access_token()
        now[0] += 10
    assert issuer.requests == asked
    cache.full = False
    assert auth.access_token()
    assert generation_of(cache.read().refresh_token or "") == 3
    assert not [each for each in issuer._sessions.values() if each.ended]


def test_a_successor_is_written_as_soon_as_that_is_possible(
    tmp_path: Path, now: list[float]
) -> None:
    issuer = FakeIssuer(rotate=True)
    cache = Full(tmp_path / "c.json")
    auth = given(issuer, token_of(issuer), cache=cache)
    cache.full = True
    auth.access_token()
    cache.full = False
    auth.access_token()
    settle(auth)
    assert auth.tokens is not None
    assert cache.read().refresh_token == auth.tokens.refresh_token


def test_what_somebody_else_got_meanwhile_is_newer_than_what_could_not_be_written(
    tmp_path: Path,
) -> None:
    issuer, path = FakeIssuer(rotate=True), tmp_path / "c.json"
    cache = Full(path)
    auth = given(issuer, token_of(issuer), cache=cache)
    cache.full = True
    auth.access_token()
    assert auth.tokens is not None
    other = given(issuer, auth.tokens.refresh_token or "", cache=path).access_token()
    assert generation_of(cache.read().refresh_token or "") == 3
    cache.full = False
    expire(auth)
    assert auth.access_token() == other
    assert generation_of(cache.read().refresh_token or "") == 3


def failing(answer: httpx.Response) -> tuple[GatebookAuth, list[int]]:
    """Somebody who asks what answers so, and how often that was asked."""
    asked: list[int] = []

    def handle(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return FakeIssuer().auth(transport=httpx.MockTransport(handle)), asked


PROBLEM = {
    "code": "internal",
    "status": 500,
    "title": "",
    "detail": "",
    "type": "",
    "request_id": "",
}


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500, json=PROBLEM),
        httpx.Response(200, text="{}"),
        *(httpx.Response(status, html="<h1>no</h1>") for status in (401, 403, 404)),
    ],
)
def test_no_failure_makes_a_login_loop(answer: httpx.Response, now: list[float]) -> None:
    auth, asked = failing(answer)
    for _ in range(50):
        with pytest.raises(GatebookError):
            auth.access_token()
    assert len(asked) == 1
    for seconds in (1, 2, 4, 8):
        now[0] += seconds
        with pytest.raises(GatebookError):
            auth.access_token()
    assert len(asked) == 5


def test_a_failure_that_is_raised_again_is_a_new_one_and_takes_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = FakeIssuer()
    user = issuer.user()
    auth = GatebookAuth(
        issuer.issuer,
        user_key=user.user_key,
        user_secret="not this one",
        transport=issuer.transport,
    )
    with pytest.raises(ReauthenticationRequired):
        auth.access_token()
    started: list[object] = []
    monkeypatch.setattr(threading.Thread, "start", started.append)
    seen = []
    for _ in range(50):
        with pytest.raises(ReauthenticationRequired) as raised:
            auth.access_token()
        with pytest.raises(ReauthenticationRequired):
            asyncio.run(auth.async_access_token())
        assert raised.value.problem is not None
        seen.append(raised.value)
    assert not started
    assert len({id(each) for each in seen}) == len(seen)
    assert len({len(traceback.extract_tb(each.__traceback__)) for each in seen}) == 1


def test_an_error_is_the_same_when_it_is_raised_again() -> None:
    problem = Problem("invalid_request", 400, detail="d", errors=(Fault("/a", "b"),))
    for error in (
        InvalidRequest(problem),
        UnexpectedAnswer("what", 418),
        ServiceUnavailable("away", retry_after=3.0),
    ):
        again = error.again()
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
        assert again is not error


def test_what_is_away_says_itself_for_how_long(now: list[float]) -> None:
    hold = HoldOff()
    hold.failed(ServiceUnavailable("away", retry_after=0.0))
    assert hold.over
    hold.failed(ServiceUnavailable("away", retry_after=100.0))
    now[0] += 99
    assert not hold.over
    now[0] += 1
    assert hold.over
    hold.failed(ServiceUnavailable("away", retry_after=3600.0))
    now[0] += 3599
    assert not hold.over
    now[0] += 1
    assert hold.over
    hold.worked()
    hold.failed(ServiceUnavailable("away"))
    now[0] += 1
    assert hold.over


def test_a_good_token_is_taken_while_somebody_holds_the_lock(tmp_path: Path) -> None:
    issuer = FakeIssuer()
    user, cache = issuer.user(), FileCache(tmp_path / "c.json", lock_seconds=0.0)
    token = issuer.auth(user, cache=cache).access_token()
    with cache.locked():
        assert issuer.auth(user, cache=cache).access_token() == token
        with pytest.raises(CacheUnavailable, match="locked"):
            issuer.auth(cache=cache).access_token()


def test_a_new_login_is_noticed_while_the_old_one_is_held_off(tmp_path: Path) -> None:
    issuer = FakeIssuer()
    user, path = issuer.user(), tmp_path / "c.json"
    issuer.auth(user, cache=path).access_token()
    kept = FileCache(path).read()
    auth = GatebookAuth(
        issuer.issuer,
        user_key=user.user_key,
        refresh_token=kept.refresh_token,
        cache=path,
        transport=issuer.transport,
    )
    auth.access_token()
    issuer.revoke(kept.refresh_token or "")
    FileCache(path).write(msgspec.structs.replace(kept, left=0.0))
    expire(auth)
    for _ in range(3):
        with pytest.raises(ReauthenticationRequired):
            auth.access_token()
    asked = len(issuer.requests)
    path.touch()  # written, and nothing new in it
    with pytest.raises(ReauthenticationRequired):
        auth.access_token()
    assert len(issuer.requests) == asked
    issuer.auth(user, cache=tmp_path / "new.json").access_token()
    FileCache(path).write(FileCache(tmp_path / "new.json").read())
    assert auth.access_token() == FileCache(path).read().access_token


def test_a_given_token_that_was_replaced_and_forgotten_is_not_shown(tmp_path: Path) -> None:
    issuer = FakeIssuer(rotate=True)
    for cache in (None, tmp_path / "c.json"):
        token = token_of(issuer)
        auth = given(issuer, token, cache=cache)
        auth.access_token()
        auth.forget()
        asked = list(issuer.requests)
        others = [given(issuer, token, cache=cache)] if cache else []
        for each in (auth, *others):
            with pytest.raises(ReauthenticationRequired, match="forgotten"):
                each.access_token()
        assert issuer.requests == asked
    # One that was not replaced is as good as before.
    steady = FakeIssuer()
    auth = given(steady, token_of(steady), cache=tmp_path / "d.json")
    auth.access_token()
    auth.forget()
    assert auth.access_token()


def test_a_thread_that_cannot_be_started_stops_nobody_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    flight = SingleFlight("test", lambda: 7)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="can't start"):
            flight.join().result(0)
    assert flight.join().result(10) == 7


def test_nothing_that_is_shown_holds_a_secret() -> None:
    """Security rule 19: `repr`, and what pretty-printers show."""
    secret = "SECRETX"
    tokens = Tokens(secret, secret)
    for each in (
        tokens,
        Credentials("uk_x", secret, secret),
        Kept(secret, secret),
        _Profile("https://h", "uk_x", secret),
        _Answered(secret, secret),
    ):
        assert secret not in repr(each)
        assert secret not in pretty_repr(each)
    assert "uk_x" in repr(_Profile("https://h", "uk_x", secret))
    assert repr(tokens) == "Tokens()"


class Refusing:
    """Refuses the first request, and takes the others."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        # Sent as a connection does, which leaves no copy of it in the request.
        assert isinstance(request.stream, httpx.SyncByteStream)
        self.bodies.append(b"".join(request.stream))
        if len(self.bodies) == 1:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return httpx.Response(200)


class Sending(httpx.BaseTransport):
    """A network that reads a body once, as it is sent."""

    def __init__(self, handle: Refusing) -> None:
        self.handle_request = handle  # type: ignore[assignment,method-assign]


def test_a_body_is_sent_again_if_it_is_still_there(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"x" * 100)
    with path.open("rb") as file, path.open("rb") as form:
        for given_body, status in (
            ({"content": b"x" * 100}, 200),
            ({"json": {"a": 1}}, 200),
            ({"files": {"f": b"abc"}}, 200),
            ({"files": {"f": form}, "data": {"a": "b"}}, 200),
            ({"content": file}, 401),
            ({"content": iter([b"abc"]), "headers": {"Content-Length": "3"}}, 401),
        ):
            issuer, handle = FakeIssuer(), Refusing()
            auth = issuer.auth()
            with httpx.Client(transport=Sending(handle), auth=auth) as client:
                body: dict[str, Any] = given_body  # type: ignore[assignment]
                assert client.post("https://elsewhere.test/", **body).status_code == status
                # The token is another one from now on, in any case.
                settle(auth)
            assert issuer.requests == ["POST /authenticate", "POST /refresh"]
            assert len(set(handle.bodies)) == 1
            assert len(handle.bodies) == (2 if status == 200 else 1)


class Told(io.BytesIO):
    """A body that can tell where it is, and not go back there."""

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation("seek")


class Sent(requests.adapters.BaseAdapter):
    """A network that sends what `httpx` would."""

    def __init__(self, handle: Refusing) -> None:
        super().__init__()
        self.handle = handle

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        asked = httpx.Request(
            "POST", request.url or "", content=request.body, headers=dict(request.headers)
        )
        found, answer = self.handle(asked), requests.Response()
        answer.status_code, answer.request, answer.raw = found.status_code, request, io.BytesIO()
        answer.headers.update(found.headers)
        answer.connection = self  # type: ignore[assignment]
        return answer

    def close(self) -> None:
        """Nothing is open."""


def test_a_refused_token_is_renewed_for_the_next_request_of_requests_too() -> None:
    for body, status in (
        (b"abc", 200),
        (io.BytesIO(b"abc"), 200),
        (iter([b"abc"]), 401),
        (Told(b"abc"), 401),
    ):
        issuer, handle = FakeIssuer(), Refusing()
        auth = issuer.auth()
        with requests.Session() as session:
            session.mount("https://", Sent(handle))
            session.auth = RequestsAuth(auth)
            answer = session.post("https://elsewhere.test/", data=body, timeout=60)
            assert answer.status_code == status
            settle(auth)
        assert issuer.requests == ["POST /authenticate", "POST /refresh"]
        assert len(handle.bodies) == (2 if status == 200 else 1)


def test_what_another_host_says_after_a_redirect_is_not_about_the_token() -> None:
    issuer = FakeIssuer()
    seen: list[tuple[str, bool]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.host, "authorization" in request.headers))
        if request.url.host == "a.test":
            return httpx.Response(307, headers={"Location": "https://b.test/"})
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    with httpx.Client(
        transport=httpx.MockTransport(handle), auth=issuer.auth(), follow_redirects=True
    ) as client:
        assert client.post("https://a.test/", content=b"{}").status_code == 401
    assert seen == [("a.test", True), ("b.test", False)]
    assert issuer.requests == ["POST /authenticate"]
