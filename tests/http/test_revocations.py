"""The revocation feed: pages, and a stream that resumes, tells heads, and ends with the service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.http.people import People
from tests.http.steps import problem, seconds
from tests.running import running, settings


def ended(people: People) -> tuple[str, int]:
    """A session that has just ended, and the position of its end."""
    user = people.new()
    assert user.delete("/sessions").status_code == 204
    return user.session_id, user.history()[-1].position


def listed(people: People, **query: Any) -> dict[str, Any]:
    answer = people.client.get("/revocations", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.json()


@contextmanager
def following(client: httpx.Client, **how: Any) -> Iterator[Iterator[dict[str, str]]]:
    with client.stream("GET", "/revocations/stream", **how) as answer:
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
    session_id, position = ended(people)
    found = listed(people)
    assert set(found) == {"log_id", "head", "items", "next"}
    assert found["log_id"] == people.client.get("/version").json()["log_id"]
    (item,) = [each for each in found["items"] if each.get("session_id") == session_id]
    assert set(item) == {"position", "session_id", "until"}
    assert item["position"] == position <= found["head"]
    history = {each["position"]: each for each in found["items"]}
    assert seconds(item["until"]) > seconds(history[position]["until"]) - 1


def test_pages_go_on_where_the_one_before_ended(people: People) -> None:
    expected = [ended(people) for _ in range(3)]
    log_id = listed(people)["log_id"]
    after = f"{log_id}:{expected[0][1] - 1}"
    found = []
    while after is not None:
        page = listed(people, after=after, limit=1)
        found += [(each["session_id"], each["position"]) for each in page["items"]]
        after = page["next"]
    assert found == expected
    caught_up = listed(people, after=f"{log_id}:{expected[-1][1]}")
    assert (caught_up["items"], caught_up["next"]) == ([], None)


@pytest.mark.parametrize("path", ["/revocations", "/revocations/stream"])
def test_a_place_of_another_log_is_told_so(people: People, path: str) -> None:
    log_id = listed(people)["log_id"]
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


def test_streams_end_when_the_service_stops(sqlite_url: str) -> None:
    with running(settings(sqlite_url)) as server:
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30)
        with client, following(client) as told:
            assert next(told)["event"] == "head"
            assert server.stop() == 0
            assert {each["event"] for each in told} <= {"head"}
