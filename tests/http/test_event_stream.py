"""GET /events/stream: events as they come, each once, for as long as the reader may have them."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.bootstrap import LIVE_STREAMS
from app.streams import RETRY_AFTER
from tests.http.people import WAIT, People, Person, walk
from tests.http.steps import SECRET, problem
from tests.http.test_history import place
from tests.running import running, settings
from tests.store.intruding import unseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STREAM = "/events/stream"


@contextmanager
def following(person: Person, query: str = "", **headers: str) -> Iterator[Iterator[Event]]:
    """What the stream sends, but for comments, from its beginning to its end."""
    given = {"Authorization": f"Bearer {person.access}", "X-Forwarded-For": person.address}
    path = f"{STREAM}{query}"
    with person.people.client.stream("GET", path, headers={**given, **headers}) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers.get_list("cache-control") == ["no-store"]
        yield events(answer.iter_lines())


Event = tuple[str, dict[str, Any] | None]
"""A place and the event there; None where there is none."""


BEATS = 30
"""Signs of life, one a second, after which whoever waits for something else waits in vain."""


def events(lines: Iterator[str]) -> Iterator[Event]:
    found: dict[str, str] = {}
    beats = 0
    for line in lines:
        name, _, value = line.partition(":")
        if line.startswith(":"):
            beats += 1
            assert beats < BEATS, "nothing is told, and it doesn't end"
        elif name:
            beats = 0
            found[name] = value.removeprefix(" ")
        elif not line and found:
            assert found.get("event", "event") == "event"
            yield found["id"], json.loads(found["data"]) if "data" in found else None
            found = {}


def told(stream: Iterator[Event], count: int) -> list[dict[str, Any]]:
    """So many events, and that each has its place."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        place, event = next(stream)
        if event is not None:
            assert place.rpartition(":")[2] == str(event["position"])
            found.append(event)
    return found


def stored(person: Person) -> list[dict[str, Any]]:
    return walk(person, "/events?limit=1000")


def test_it_begins_now_and_tells_every_event_once_in_order(people: People, root: Person) -> None:
    before = stored(root)
    with following(root) as stream:
        assert next(stream) == (place(people, len(before)), None)
        ada = people.new("orders:read")
        ada.delete("/sessions")
        expected = stored(root)[len(before) :]
        assert len(expected) == 5
        assert told(stream, 5) == expected


def test_it_goes_on_after_a_place(people: People, root: Person) -> None:
    whole = stored(root)
    first, second = place(people, 2), place(people, len(whole) - 3)
    for query, headers, after in (
        (f"?after={first}", {}, 2),
        ("", {"Last-Event-ID": second}, len(whole) - 3),
        (f"?after={first}", {"Last-Event-ID": second}, len(whole) - 3),
        (f"?after={place(people, 0)}", {}, 0),
    ):
        with following(root, query, **headers) as stream:
            assert told(stream, len(whole) - after) == whole[after:]
            people.registered()
            assert told(stream, 1)[0]["position"] == len(whole) + 1
        whole = stored(root)


def test_whoever_resumes_again_and_again_misses_nothing(people: People, root: Person) -> None:
    with following(root) as stream:
        last, _ = next(stream)
    begun = int(last.rpartition(":")[2])
    found: list[dict[str, Any]] = []
    for _ in range(5):
        people.new()
        with following(root, **{"Last-Event-ID": last}) as stream:
            found += told(stream, 2)
        last = place(people, found[-1]["position"])
    assert [each["position"] for each in found] == list(range(begun + 1, begun + 11))
    assert found == stored(root)[begun : begun + 10]


def test_only_the_wanted_events_are_told(people: People, root: Person) -> None:
    ada = people.new()
    query = f"?user_key={ada.user_key}&type=user.logged_in&after={place(people, 0)}"
    with following(root, query) as stream:
        (first,) = told(stream, 1)
        assert (first["user_key"], first["type"]) == (ada.user_key, "user.logged_in")
        people.new()
        ada.log_in()
        (second,) = told(stream, 1)
        assert second["data"]["session_id"] == ada.session_id


def test_a_place_that_was_looked_through_is_told_without_an_event(
    people: People, root: Person
) -> None:
    with following(root, "?type=user.erased") as stream:
        begun, _ = next(stream)
        people.new()
        later, event = next(stream)
        assert event is None
        assert int(later.rpartition(":")[2]) > int(begun.rpartition(":")[2])


def test_who_may_not_follow_is_told_why(people: People, root: Person) -> None:
    problem(root.get(f"{STREAM}?after={place(people, 1, 'A' * 22)}"), 409, "log_changed")
    problem(root.get(f"{STREAM}?after={place(people, 10**12)}"), 409, "log_changed")
    for query in ("after=5", "user_key=ada", "type=no", "since=2026-01-01", "limit=5"):
        problem(root.get(f"{STREAM}?{query}"), 400, "invalid_request", "errors")
    refused = root.get(STREAM, **{"Last-Event-ID": "5"})
    body = problem(refused, 400, "invalid_request", "errors")
    assert body["errors"] == [
        {"pointer": "/Last-Event-ID", "detail": "This header is LOG_ID:POSITION."}
    ]


def test_a_source_has_so_many_streams_and_no_more(people: People, root: Person) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(following(root)) for _ in range(LIVE_STREAMS)]
        assert all(next(each) for each in streams)
        refused = root.get(STREAM)
        problem(refused, 429, "too_many_attempts")
        assert refused.headers["retry-after"] == str(RETRY_AFTER)
        with following(root.again(), **{"X-Forwarded-For": "10.9.9.9"}) as stream:
            assert next(stream)
    # The server hears of a connection's end when it hears of it.
    while (answer := root.ask("HEAD", STREAM)).status_code == 429:
        pass
    assert answer.status_code == 200


def test_head_is_answered_as_get_and_ends(root: Person) -> None:
    head = root.ask("HEAD", STREAM)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"].startswith("text/event-stream")


ENDINGS: dict[str, Callable[[Person, Person], httpx.Response]] = {
    "session": lambda root, eve: eve.delete(f"/sessions/{eve.session_id}"),
    "every session": lambda root, eve: root.delete(f"{eve.at}/sessions"),
    "disabled": lambda root, eve: root.post(f"{eve.at}/disable"),
    "permission": lambda root, eve: root.put(f"{eve.at}/permissions", {"permissions": ["x"]}),
    "secret": lambda root, eve: root.put(f"{eve.at}/secret", {"user_secret": SECRET + "!"}),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_it_ends_when_its_reader_may_not_read_any_more(
    people: People, root: Person, ending: str
) -> None:
    """Security rule 16: within about a second, also when nothing happens."""
    eve, bob = people.new("events:read"), people.new("events:read")
    with following(eve) as stream, following(bob) as other:
        next(stream)
        next(other)
        answer = ENDINGS[ending](root, eve)
        assert answer.status_code in {200, 204}, answer.text
        assert {event["user_key"] for _, event in stream if event} <= {eve.user_key}
        people.registered("late" + eve.user_key)
        while told(other, 1)[0]["type"] != "user.registered":
            pass


def test_a_stream_ends_with_its_access_token(sqlite_url: str) -> None:
    given = settings(sqlite_url, ACCESS_TOKEN_TTL="2")
    with running(given) as server:
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT)
        with client, following(People(client, given).new("events:read")) as stream:
            assert next(stream)
            assert [event for _, event in stream] == []


def test_streams_end_when_the_service_stops(database_url: str) -> None:
    given = settings(database_url)
    with running(given) as server:
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT)
        with client, following(People(client, given).new("events:read")) as stream:
            assert next(stream)
            assert server.stop() == 0
            assert [*stream] == []


def test_what_can_t_be_told_ends_streams_and_lines_and_nothing_is_passed_over(
    database_url: str,
) -> None:
    """Security rule 28: lines are cut off, so that nobody takes them for the whole log."""
    given = settings(database_url)
    with running(given) as server:
        client = httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT)
        with client:
            people = People(client, given)
            root = people.new("events:read")
            people.new()
            whole = stored(root)
            broken = len(whole) - 2
            with people.store() as store, store.storage.transaction() as rows:
                unseal(rows, store.storage.kind)
                rows.execute("UPDATE events SET clear = ? WHERE position = ?", (b"{", broken))
                rows.commit()
            after = place(people, 1)
            with following(root, f"?after={after}") as stream:
                seen = [each for _, each in stream if each is not None]
            assert seen == whole[1 : broken - 1]
            last = place(people, broken - 1)
            problem(root.get(STREAM, **{"Last-Event-ID": last}), 500, "internal_error")
            headers = {"Authorization": f"Bearer {root.access}", "Accept": "application/x-ndjson"}
            came: list[str] = []
            with (
                client.stream("GET", "/events", headers=headers) as answer,
                pytest.raises(httpx.RemoteProtocolError, match="incomplete"),
            ):
                came.extend(answer.iter_lines())
            assert [json.loads(each) for each in came] == whole[: broken - 1]
            problem(root.get(f"/events?after={last}", **headers), 500, "internal_error")
        server.stop()
    assert server.said.count(b"stream_cut_off") == 1
