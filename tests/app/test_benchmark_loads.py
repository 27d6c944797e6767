"""Loads of the benchmarks that aren't bodies in turn: access tokens, forms, planned moments."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.benchmarks import (
    answers,
    asking,
    bench_bearer,
    bench_mixed,
    bench_parts,
    bench_refresh,
    bench_workers,
    client,
    wrk,
)
from tests.benchmarks.bench_mixed import Length
from tests.benchmarks.comparison import Size
from tests.benchmarks.load import LoadError, Target
from tests.benchmarks.paced import paced, percentile
from tests.benchmarks.processor import seconds_by_child
from tests.prove.client import Answer, Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

TINY = Size(turns=2, seconds=0.2, warm_up=0.1)


def test_the_python_client_sends_access_tokens_in_turn_and_forms() -> None:
    async def sent(target: Target) -> list[bytes]:
        run = client.Run(target, asyncio.get_running_loop().create_future())
        return [run.next() for _ in range(3)]

    requests = asyncio.run(sent(Target(80, "/me", (), 2, bearers=("a", "b"))))
    assert [each.split(b"Bearer ")[1] for each in requests] == [
        *(b"a\r\n\r\n", b"b\r\n\r\n", b"a\r\n\r\n"),
    ]
    assert all(each.startswith(b"GET /me HTTP/1.1\r\n") for each in requests)
    assert b"Content" not in requests[0]
    forms = asyncio.run(sent(Target(80, "/x", (b"t=1", b"t=2"), 2, bearers=("a",), form=True)))
    assert [each[-3:] for each in forms] == [b"t=1", b"t=2", b"t=1"]
    assert all(b"Bearer a\r\n" in each and b"x-www-form-urlencoded" in each for each in forms)


def test_wrk_is_told_of_access_tokens_and_of_forms() -> None:
    lua = wrk.script(Target(1, "/me", (), 2, bearers=("a", "b")))
    assert "local bearers = {\n  [==[a]==],\n  [==[b]==],\n}" in lua
    assert 'wrk.headers["Content-Type"] = nil' in lua
    form = wrk.script(Target(1, "/oauth/introspect", (b"token=a",), 2, form=True))
    assert 'wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"' in form
    assert "local bearers = {\n\n}" in form


def test_what_waits_is_counted_from_its_planned_moment() -> None:
    """A server that stops for a while isn't spared the requests that wait meanwhile."""

    async def scene() -> list[float]:
        loop = asyncio.get_running_loop()
        begun, again = loop.time(), asyncio.Event()
        asked: list[float] = []

        async def ask(client: Client) -> Answer:
            asked.append(loop.time())
            if len(asked) == 10:
                loop.call_later(0.2, again.set)
            await again.wait()
            return Answer(200, b"", 0.0, {})

        taken = await paced(1, ask, 100, 0.1)
        assert len(asked) == len(taken) == 10
        assert asked[-1] - begun >= 0.09  # each at its moment, though none was answered
        return sorted((each.ms for each in taken), reverse=True)

    first, *_, last = asyncio.run(scene())
    assert first >= 200 + 90
    assert last >= 200


def test_a_request_that_breaks_ends_a_paced_run() -> None:
    async def ask(client: Client) -> Answer:
        raise OSError("reset")

    with pytest.raises(LoadError, match="not answered"):
        asyncio.run(paced(1, ask, 1000, 0.01))


def test_a_percentile_is_a_value_that_was_there() -> None:
    values = [float(each) for each in range(200, 0, -1)]
    assert [percentile(values, each) for each in (0.5, 0.99, 1.0)] == [100.0, 198.0, 200.0]
    assert percentile([7.0], 0.99) == 7.0
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_a_bearer_is_measured_from_end_to_end() -> None:
    found = list(bench_bearer.on_sqlite(client.GENERATOR, TINY, connections=4))
    assert [each.target for each in found] == [0.50, 0.36]
    assert [each.name for each in found] == ["GET /me on SQLite", "/oauth/introspect on SQLite"]
    assert "4 connections, one service process, answers of 211 bytes" in found[0].conditions
    assert all(min(*each.bare.rate.values, *each.measured.rate.values) > 0 for each in found)


@pytest.mark.long
def test_a_bearer_whose_tokens_are_forgotten_is_measured_from_end_to_end() -> None:
    found = list(bench_bearer.of_forgotten(client.GENERATOR, TINY, connections=4))
    assert [each.target for each in found] == [0.50, 0.36]
    assert f"{5 * bench_bearer.MANY} access tokens" in found[0].conditions


@pytest.mark.long
def test_mixed_load_is_measured_from_end_to_end(database_url: str) -> None:
    """Logins cost enough that four times as many as can be hashed are too many."""
    cheap = {
        "GATEBOOK_HASH_THREADS": "1",
        "GATEBOOK_HASH_TIME": "1",
        "GATEBOOK_HASH_MEMORY_KIB": "9728",
    }
    length = Length(turns=2, seconds=1.0, overload_s=2.5)
    found = bench_mixed.measure("here", database_url, length, cheap, users=4)
    assert 0 < found.refused < found.overload
    assert found.ratio.n == found.alone.p99.n == found.health.p50.n == found.refusal.p99.n == 2
    assert found.hashed is not None
    assert found.logins.median >= bench_mixed.LEAST_HASHED * found.hashed.median
    assert found.alone.p50.median <= found.alone.p99.median <= found.alone.most
    assert len(found.lines()) == 11


@pytest.mark.long
def test_a_second_process_is_measured_from_end_to_end() -> None:
    steady, hot = bench_workers.measure(client.GENERATOR, TINY, connections=16)
    assert (steady.by, steady.target) == ("CPU", bench_workers.CPU_TARGET)
    assert (hot.by, hot.target) == ("rate", 0.9)
    for each in (steady, hot):
        assert each.bare.database_us is not None
        assert min(*each.bare.rate.values, *each.measured.rate.values) > 0


def test_a_turn_that_wrote_something_else_does_not_count() -> None:
    steady, hot = bench_workers.WAYS
    bench_workers.check(steady, 0, 100)
    bench_workers.check(hot, 101, 100)
    for way, events in ((steady, 1), (hot, 99)):
        with pytest.raises(LoadError, match=f"{events} events were written for 100 requests"):
            bench_workers.check(way, events, 100)


def test_a_run_in_which_one_process_did_all_does_not_count() -> None:
    before = {7: 1.0, 8: 5.0}
    bench_workers.check_shares(before, {7: 3.0, 8: 6.0})
    bench_workers.check_shares(before, {7: 1.2, 8: 5.8})
    with pytest.raises(LoadError, match=r"one process did nearly all: they used 0\.10 and 2\.00 s"):
        bench_workers.check_shares(before, {7: 3.0, 8: 5.1})
    for after in ({7: 3.0}, {7: 3.0, 9: 6.0}):
        with pytest.raises(LoadError, match="ended"):
            bench_workers.check_shares(before, after)


def test_each_child_of_a_process_is_told_with_its_own_processor_time() -> None:
    work = "import time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\ninput()"
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for program in (work, "print(flush=True)\ninput()")
        ]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        found = seconds_by_child(os.getpid())
        busy, idle = (found[child.pid] for child in children)
        for child in children:
            child.communicate(b"\n")
    assert busy >= 0.09
    assert busy > idle


def test_answers_that_are_of_somebody_else_or_the_same_for_all_do_not_count() -> None:
    ada, bob = {"sub": "uk_a", "jti": "1"}, {"sub": "uk_b", "jti": "2"}
    answers.demand_own("/refresh", [ada, bob], ["uk_a", "uk_b"])
    answers.demand_own("/me", [{"user_key": "uk_a", "session_id": "x"}], ["uk_a"])
    with pytest.raises(LoadError, match="took one for another"):
        answers.demand_own("/refresh", [ada, ada], ["uk_a", "uk_b"])
    with pytest.raises(LoadError, match="with the same"):
        answers.demand_own("/refresh", [ada, ada], ["uk_a", "uk_a"])
    with pytest.raises(LoadError, match="with the same"):
        answers.demand_own("/refresh", [{"sub": "uk_a"}], ["uk_a"])


def test_a_turn_whose_answers_are_all_the_same_is_thrown_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the service had kept the first answer of each path for everybody."""
    first: dict[str, bytes] = {}

    def remembered(target: Target) -> bytes:
        return first.setdefault(target.path, asking.ask_with(target))

    def remembered_too(port: int, path: str, body: bytes | None = None) -> bytes:
        return first.setdefault(path, asking.ask(port, path, body))

    monkeypatch.setattr(answers, "ask_with", remembered)
    monkeypatch.setattr(answers, "ask", remembered_too)
    with pytest.raises(LoadError, match="took one for another"):
        list(bench_bearer.on_sqlite(client.GENERATOR, TINY, connections=4))
    with pytest.raises(LoadError, match="took one for another"):
        bench_refresh.on_sqlite(client.GENERATOR, TINY, bench_refresh.WAYS[0], connections=4)


@contextmanager
def _calls_for_time() -> Iterator[None]:
    """A thread's processor time is how often it called something: the same on a busy machine."""
    calls: Counter[int] = Counter()

    def count(_frame: FrameType, event: str, _of: object) -> None:
        if event in {"call", "c_call"}:
            calls[threading.get_ident()] += 1

    mine = SimpleNamespace(
        time_ns=time.time_ns,
        thread_time_ns=lambda: calls[threading.get_ident()] * 1000,
        process_time_ns=lambda: sum(list(calls.values())) * 1000,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_parts, "time", mine)
        before = threading.getprofile(), sys.getprofile()
        threading.setprofile(count)
        sys.setprofile(count)
        try:
            yield
        finally:
            threading.setprofile(before[0])
            sys.setprofile(before[1])


def test_a_refresh_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds a part does more than it; who writes has another thread do it."""
    monkeypatch.setattr(bench_parts, "ROUNDS_QUICK", 1)
    monkeypatch.setattr(bench_parts, "TIMES", 1)
    with _calls_for_time():
        steady, recorded, rotating = bench_parts.run(quick=True)
    costs = {each.name: each.us.median for each in steady.parts}
    assert 0 < costs["its signature"] < costs["the access token"] < costs["the use case"]
    assert costs["the use case"] < costs["the handler alone"]
    assert [each.depth for each in steady.parts] == [0, 0, 1, 2, 3, 3, 3, 4]
    for written in (recorded, rotating):
        assert written.parts[0].others_us.median > 0
        assert len(written.lines()) == 4
