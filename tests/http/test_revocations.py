"""The revocation feed: pages, and a stream that resumes, tells heads, and ends with the service."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app import reading
from app.bootstrap import REVOCATION_STREAMS, Service
from app.reading import MAX_WAITING
from app.revocation_feed import HeadSeen
from app.streams import RETRY_AFTER
from tests.http.people import WAIT, People
from tests.http.steps import problem, seconds
from tests.running import running, settings

if TYPE_CHECKING:
    from projections.storage import Rows

STREAM = "/revocations/stream"


def ended(people: People) -> tuple[str, int]:
    """A session that has just ended, and the position of its end."""
    user = people.new()
    assert user.delete("/sessions").status_code == 204
    return user.session_id, user.history()[-1].position


def log_id_of(people: People) -> str:
    return people.client.get("/version").json()["log_id"]


def listed(people: People, **query: Any) -> dict[str, Any]:
    answer = people.client.get("/revocations", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.json()


@contextmanager
def following(client: httpx.Client, **how: Any) -> Iterator[Iterator[dict[str, str]]]:
    with client.stream("GET", STREAM, **how) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer.iter_lines())


def events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    found: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            found[name] = value
        elif found:
            yield found
            found = {}


def test_an_ended_session_is_listed_without_whom_or_why(people: People) -> None:
    user = people.new()
    assert user.delete("/sessions").status_code == 204
    end = user.history()[-1]
    found = listed(people, after=f"{log_id_of(people)}:{end.position - 1}")
    assert set(found) == {"log_id", "head", "items", "next"}
    assert (found["log_id"], found["next"]) == (log_id_of(people), None)
    assert found["head"] >= end.position
    (item,) = found["items"]
    assert set(item) == {"position", "session_id", "until"}
    assert (item["position"], item["session_id"]) == (end.position, user.session_id)
    assert seconds(item["until"]) == seconds(end.time) + 3_660


def test_pages_go_on_where_the_one_before_ended(people: People) -> None:
    expected = [ended(people) for _ in range(3)]
    log_id = log_id_of(people)
    after = f"{log_id}:{expected[0][1] - 1}"
    found = []
    while after is not None:
        page = listed(people, after=after, limit=1)
        found += [(each["session_id"], each["position"]) for each in page["items"]]
        after = page["next"]
    assert found == expected
    caught_up = listed(people, after=f"{log_id}:{expected[-1][1]}")
    assert (caught_up["items"], caught_up["next"]) == ([], None)


@pytest.mark.parametrize("path", ["/revocations", STREAM])
def test_a_place_of_another_log_is_told_so(people: People, path: str) -> None:
    log_id = log_id_of(people)
    for place in (f"{'A' * 22}:1", f"{log_id}:{10**12}"):
        problem(people.client.get(path, params={"after": place}), 409, "log_changed")
    problem(people.client.get(path, params={"after": "1"}), 400, "invalid_request", "errors")


def test_a_stream_tells_what_was_and_what_is_revoked_and_then_the_head(people: People) -> None:
    before, position = ended(people)
    place = f"{listed(people)['log_id']}:{position - 1}"
    with following(people.client, headers={"Last-Event-ID": place}) as told:
        first = next(told)
        assert (first["event"], first["id"]) == ("revocation", place.replace(
            f":{position - 1}", f":{position}"
        ))  # fmt: skip
        assert json.loads(first["data"])["session_id"] == before
        head = next(told)
        assert head["event"] == "head"
        assert json.loads(head["data"])["position"] >= position
        now, position = ended(people)
        seen: list[dict[str, str]] = []
        while not seen or seen[-1]["event"] == "head":
            seen.append(next(told))
        assert json.loads(seen[-1]["data"])["session_id"] == now
        after = next(told)
        assert after["event"] == "head"
        assert json.loads(after["data"])["position"] >= position


def test_a_stream_says_once_that_it_is_not_to_be_kept(people: People) -> None:
    with people.client.stream("GET", STREAM) as answer:
        assert answer.headers.get_list("cache-control") == ["no-store"]
        assert answer.headers["access-control-allow-origin"] == "*"


def test_head_is_answered_as_get_and_ends(people: People) -> None:
    with people.client.stream("GET", STREAM) as answer:
        expected = {**answer.headers}
    head = people.client.head(STREAM)
    assert (head.status_code, head.content) == (200, b"")
    own = dict.fromkeys(("date", "x-request-id", "transfer-encoding"), "")
    assert {**head.headers, **own} == {**expected, **own}
    log_id = log_id_of(people)
    for place, status in (("1", 400), (f"{log_id}:{10**12}", 409)):
        assert people.client.head(STREAM, params={"after": place}).status_code == status
    # Another one's turn, on the same connection.
    assert people.client.get("/version").status_code == 200


class Follower:
    """A raw connection, so that hundreds cost nothing; `source` is as behind a proxy."""

    def __init__(self, client: httpx.Client, source: str) -> None:
        self._at = client.base_url.host, client.base_url.port
        self._source = source
        self.status = 0
        self.head = b""

    async def begin(self) -> Follower:
        """Ask, and hear the beginning of the answer."""
        self.reader, self.writer = await asyncio.open_connection(*self._at)
        lines = (f"GET {STREAM} HTTP/1.1", "Host: x", f"X-Forwarded-For: {self._source}", "", "")
        self.writer.write("\r\n".join(lines).encode())
        self.head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), WAIT)
        self.status = int(self.head.split()[1])
        return self


def test_a_herd_of_followers_is_let_in_and_one_more_is_not(people: People) -> None:
    async def ask() -> None:
        came = [Follower(people.client, "10.9.9.9") for _ in range(REVOCATION_STREAMS + 1)]
        await asyncio.gather(*(each.begin() for each in came))
        assert Counter(each.status for each in came) == {200: REVOCATION_STREAMS, 429: 1}
        (refused,) = [each for each in came if each.status == 429]
        assert f"\r\nretry-after: {RETRY_AFTER}\r\n".encode() in refused.head
        other = await Follower(people.client, "10.9.9.10").begin()
        assert other.status == 200
        for each in (*came, other):
            if each.status == 200:
                await asyncio.wait_for(each.reader.readuntil(b"event: head\r\n"), WAIT)
            each.writer.close()

    asyncio.run(ask())


def test_pages_without_end_hold_up_neither_lists_nor_streams(
    start_anywhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "ANSWER_WITHIN", WAIT)
    released = threading.Event()
    head: Future[Any] = Future()
    tasks: list[asyncio.Task[None]] = []

    def wait(rows: Rows) -> None:
        released.wait()

    async def follow(service: Service) -> None:
        async with service.revocations.following(None) as told:
            async for each in told:
                if isinstance(each, HeadSeen):
                    head.set_result(each)
                    return

    def flood(service: Service) -> None:
        paging = service.revocations._paging
        tasks.extend(asyncio.ensure_future(paging.read(wait)) for _ in range(MAX_WAITING))
        tasks.append(asyncio.ensure_future(follow(service)))

    api = start_anywhere(on_start=flood)
    try:
        problem(api.get("/revocations"), 503, "overloaded")
        people = People(api, start_anywhere._given({}))
        user = people.new()
        assert user.get("/sessions").status_code == 200
        assert user.get("/me/events").status_code == 200
        assert head.result(WAIT).position > 0
    finally:
        released.set()


def test_streams_end_when_the_service_stops(sqlite_url: str) -> None:
    with running(settings(sqlite_url)) as server:
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30)
        with client, following(client) as told:
            assert next(told)["event"] == "head"
            assert server.stop() == 0
            assert {each["event"] for each in told} <= {"head"}
