"""GET /web/live: that the service is there, each second, for anybody; and when it isn't."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.bootstrap import LIVE_STREAMS
from app.streams import RETRY_AFTER
from tests.http.people import WAIT, People
from tests.pages.visits import PATIENCE
from tests.postgres import PostgresServer
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVE = "/web/live"
PLACE = {"log_id", "position", "time"}


@contextmanager
def watching(client: httpx.Client, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """What it says, from the beginning to the end."""
    with client.stream("GET", LIVE, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers.get_list("cache-control") == ["no-store"]
        yield heads(answer.iter_lines())


def heads(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "data":
            yield json.loads(value)
        else:
            assert line in {"event: head", ""}


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    """At a service behind a proxy, so that each has an address."""
    given = settings(f"sqlite:///{tmp_path}/gatebook.db", TRUSTED_PROXIES="127.0.0.1")
    with (
        running(given) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT) as client,
    ):
        yield People(client, given)


def test_it_says_how_far_the_log_goes_and_nothing_of_what_is_in_it(people: People) -> None:
    log_id = people.client.get("/version").json()["log_id"]
    with watching(people.client) as beats:
        first, second = next(beats), next(beats)
        assert set(first) == PLACE
        assert first == second
        assert first["log_id"] == log_id
        people.new()
        while (told := next(beats))["position"] == first["position"]:
            pass
        assert told["time"] > first["time"]


def test_a_source_has_few_of_them_and_of_those_of_events_together(people: People) -> None:
    root = people.new("admin")
    at = {"X-Forwarded-For": root.address}
    events = {**at, "Authorization": f"Bearer {root.access}"}
    held = []
    """What nobody holds is closed."""
    with ExitStack() as streams:
        for _ in range(LIVE_STREAMS - 1):
            held.append(streams.enter_context(watching(people.client, **at)))
            assert next(held[-1])
        followed = people.client.stream("GET", "/events/stream", headers=events)
        assert streams.enter_context(followed).status_code == 200
        for path in (LIVE, "/events/stream"):
            with people.client.stream("GET", path, headers=events) as refused:
                assert refused.status_code == 429
                assert refused.headers["retry-after"] == str(RETRY_AFTER)
        other = {"X-Forwarded-For": "10.99.99.99"}
        held.append(streams.enter_context(watching(people.client, **other)))
        assert next(held[-1])
    statuses = {429}
    while statuses == {429}:  # until the service has heard that they are closed
        with people.client.stream("GET", LIVE, headers=at) as answer:
            statuses = {answer.status_code}
    assert statuses == {200}


def test_head_has_the_headers_and_holds_nothing(people: People) -> None:
    for _ in range(LIVE_STREAMS + 1):
        answer = people.client.head(LIVE)
        assert (answer.status_code, answer.content) == (200, b"")


def test_it_ends_in_order_when_the_service_stops(tmp_path: Path) -> None:
    with (
        running(settings(f"sqlite:///{tmp_path}/gatebook.db")) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE) as client,
        watching(client) as beats,
    ):
        assert next(beats)
        assert server.stop() == 0
        assert all(set(each) == PLACE for each in beats)


def test_it_says_nothing_while_the_store_is_away() -> None:
    """The connection holds: whoever watches notices that nothing is said."""
    with (
        PostgresServer() as server,
        running(settings(server.create_database())) as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=PATIENCE) as client,
        client.stream("GET", LIVE) as answer,
    ):
        lines = answer.iter_lines()
        assert "event: head" in lines
        server.stop()
        assert ":" in lines
        server.start()
        assert "event: head" in lines
