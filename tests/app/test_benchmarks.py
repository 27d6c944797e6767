"""The benchmarks' arithmetic, their load generators, and that each runs from end to end.

How fast anything is, is looked at by people, and nothing here depends on it: but a page may cost
only so much processor time.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from litestar import Litestar, get
from litestar.testing import TestClient

from tests.benchmarks import (
    bench_authenticate,
    bench_idle,
    bench_log,
    bench_pages,
    bench_refresh,
    client,
    empty,
    machine,
    population,
    wrk,
)
from tests.benchmarks.__main__ import main, measure_tokens, measure_verifying
from tests.benchmarks.asking import ask, compact, count_events
from tests.benchmarks.comparison import Comparison, Size, Turn, alternate, compare
from tests.benchmarks.figures import ratios, summary, together, verdict
from tests.benchmarks.load import LoadError, Tally, Target
from tests.benchmarks.processes import ROOT, serving
from tests.benchmarks.processor import Others, Stat, cpu_seconds, elsewhere, parse, ticks
from tests.benchmarks.report import Report, write
from tests.benchmarks.stores import new_postgresql, new_sqlite

TINY = Size(turns=2, seconds=0.2, warm_up=0.1)
WRK_SAID = """\
Running 1s test @ http://127.0.0.1:8000/refresh
  1 threads and 64 connections
Requests/sec:   2000.00
tally: requests=2010 microseconds=1005000 status={status} connect={connect} read=0 write=0 timeout=0
"""


def a_comparison(target: float = 0.5) -> Comparison:
    bare = [Turn(100, 20), Turn(200, 10), Turn(400, 40)]
    measured = [Turn(50, 40, 5), Turn(120, 40, 7), Turn(160, 50, 6)]
    size = Size(turns=3, seconds=1, warm_up=0)
    return compare(
        "A thing",
        conditions="in the sun",
        unit="request",
        size=size,
        names=("bare", "service"),
        turns=(bare, measured),
        target=target,
    )


def test_a_summary_holds_the_middle_and_the_spread() -> None:
    even = summary([4.0, 1.0, 3.0, 10.0])
    assert (even.n, even.median, even.least, even.most) == (4, 3.5, 1.0, 10.0)
    assert even.values == (4.0, 1.0, 3.0, 10.0)
    assert summary([4.0, 1.0, 3.0]).median == 3.0
    with pytest.raises(ValueError, match="no figures"):
        summary([])


def test_ratios_are_taken_turn_by_turn() -> None:
    found = ratios([1.0, 30.0, 4.0], [2.0, 10.0, 16.0])
    assert found.values == (0.5, 3.0, 0.25)
    assert found.median == 0.5  # that of the medians would be 0.4
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_a_comparison_divides_rates_one_way_and_processor_time_the_other() -> None:
    found = a_comparison()
    assert found.rate_ratio.values == (0.5, 0.6, 0.4)
    assert found.cpu_ratio.values == (0.5, 0.25, 0.8)
    assert found.bare.rate.median == 200
    assert found.measured.cpu_us.median == 40
    assert found.bare.database_us is None
    assert found.measured.database_us is not None
    assert found.measured.database_us.median == 6


def test_a_target_is_reached_by_the_median_ratio() -> None:
    assert a_comparison(0.5).verdict == "reached"
    assert a_comparison(0.51).verdict == "missed"
    rows = {line.strip().split("   ")[0]: line for line in a_comparison(0.51).lines()}
    row = rows["ratio of requests/s"]
    assert row.split()[3:6] == ["0.500", "0.400", "0.600"]
    assert row.endswith("target 0.51: NOT reached")
    assert rows["and PostgreSQL's: µs a request"].split()[-3:] == ["6.0", "5.0", "7.0"]


def test_two_turns_that_do_not_agree_decide_nothing() -> None:
    assert verdict(summary([0.3, 0.6]), 0.5, at_least=True) == "open"
    assert verdict(summary([0.5, 0.6]), 0.5, at_least=True) == "reached"
    assert verdict(summary([0.3, 0.6]), 0.2) == "missed"
    assert verdict(summary([0.3, 0.4, 0.6]), 0.5, at_least=True) == "missed"
    assert together(["reached", "open"]) == "open"
    assert together(["reached", "open", "missed"]) == "missed"
    assert together(["reached"]) == "reached"


def test_a_comparison_of_two_turns_says_that_they_are_too_few() -> None:
    turns = [Turn(100, 20), Turn(100, 20)], [Turn(30, 20), Turn(60, 20)]
    words: dict[float | None, str] = {0.5: "target 0.50: too few turns to say", None: "0.600"}
    for target, said in words.items():
        found = compare(
            "A thing",
            conditions="",
            unit="request",
            size=TINY,
            names=("bare", "service"),
            turns=turns,
            target=target,
        )
        (row,) = (line for line in found.lines() if "ratio of requests/s" in line)
        assert row.endswith(said)
        assert "NOT reached" not in "".join(found.lines())


def test_the_sides_take_turns_after_warming_up() -> None:
    taken: list[tuple[str, float]] = []

    def side(name: str, seconds: float) -> Turn:
        taken.append((name, seconds))
        return Turn(len(taken), 1)

    size = Size(turns=2, seconds=5, warm_up=1)
    bare, measured = alternate(size, lambda s: side("A", s), lambda s: side("B", s))
    assert taken == [("A", 1), ("B", 1), ("A", 5), ("B", 5), ("A", 5), ("B", 5)]
    assert [turn.rate for turn in bare] == [3, 5]
    assert [turn.rate for turn in measured] == [4, 6]


def test_the_processor_time_of_a_process_is_read_past_any_name() -> None:
    line = "42 (a) b (c) S 7 42 42 0 -1 4194560 9 8 0 0 100 20 3 4 20 0 1 0 55 66 77\n"
    assert parse(line) == Stat(parent=7, ticks=127)


def test_the_processor_time_of_a_tree_is_that_of_all_below() -> None:
    stats = {1: Stat(0, 1000), 10: Stat(1, 1), 11: Stat(10, 2), 12: Stat(11, 4), 20: Stat(1, 8)}
    assert ticks(10, stats) == 7
    assert ticks(12, stats) == 4


def test_processor_time_of_children_counts_when_they_live_and_when_they_are_gone() -> None:
    # Each uses 0.1 s of the processor, however long that takes it.
    work = "import time\nwhile time.process_time() < 0.1: pass\n"
    before = cpu_seconds(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", f"{work}print(flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        living = cpu_seconds(os.getpid()) - before
        of_child = cpu_seconds(child.pid)
        child.communicate(b"\n")
    gone = cpu_seconds(os.getpid()) - before
    assert of_child >= 0.09
    assert living >= of_child - 0.02  # a tick is 0.01 s
    assert gone >= living
    with pytest.raises(RuntimeError, match="gone"):
        cpu_seconds(child.pid)


def test_the_machine_is_described() -> None:
    assert machine.cpu_model("processor : 0\nmodel name\t: A Chip 3 \nflags : x\n") == "A Chip 3"
    assert machine.cpu_model("nothing") == ""
    here = machine.look_round()
    assert {"litestar", "uvicorn", "msgspec", "cryptography", "argon2-cffi", "SQLite"} <= set(
        here.versions
    )
    assert here.python.startswith("CPython 3.")
    assert re.match(r"\d+\.\d+", here.versions["OpenSSL"])
    assert here.files
    idle = msgspec.structs.replace(here, cores=2, load_average=(0.5, 9.0, 9.0))
    busy = msgspec.structs.replace(here, cores=2, load_average=(0.6, 0.0, 0.0))
    assert not any("WARNING" in line for line in idle.lines())
    assert any("WARNING" in line for line in busy.lines())


def test_a_folder_is_on_the_file_system_that_is_mounted_last_and_nearest() -> None:
    mounts = "none / overlay rw 0 0\n/dev/a /tmp ext4 rw 0 0\nnone /tmp tmpfs rw 0 0\n"
    told = [machine.file_system(Path(each), mounts) for each in ("/tmp/x", "/tmpx", "/")]  # noqa: S108 - named only
    assert told == ["tmpfs", "overlay", "overlay"]
    assert machine.file_system(Path("/"), "") == ""


def test_what_others_use_is_all_that_is_neither_ours_nor_the_kernels() -> None:
    ours = {10: Stat(1, 30), 11: Stat(10, 5)}
    others = {1: Stat(0, 100), 12: Stat(1, 9)}
    kernel = {2: Stat(0, 50), 5: Stat(2, 7)}
    assert elsewhere(10, {**ours, **others, **kernel}) == 109
    # In a container 2 is a program as any other.
    assert elsewhere(10, {**ours, **others, 2: Stat(1, 50)}) == 159
    assert Others().cores() >= 0


def test_what_becomes_a_daemon_is_ours() -> None:
    program = """
import os, subprocess
from tests.benchmarks.processor import adopt_orphans, seconds_by_child
adopt_orphans()
orphan = int(subprocess.check_output(["sh", "-c", "sleep 60 >&- & echo $!"]))
print(orphan in seconds_by_child(os.getpid()))
os.kill(orphan, 9)
"""
    asked = [sys.executable, "-c", program]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_the_commit_is_told_with_a_mark_where_the_source_has_changed(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    (root / "docs").mkdir(parents=True)
    assert machine.commit(root) == ""
    who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    git = partial(subprocess.run, check=True, capture_output=True, cwd=root)
    git(["git", "init", "-q", "."])
    assert machine.commit(root) == ""
    git(["git", *who, "commit", "-q", "--allow-empty", "-m", "Begin"])
    commit = machine.commit(root)
    assert re.fullmatch("[0-9a-f]{7,}", commit)
    (root / "docs" / "figures.json").write_text("{}")
    assert machine.commit(root) == commit
    (root / "service.py").write_text("")
    assert machine.commit(root) == f"{commit}+"
    assert machine.commit(root / "docs") == ""


def test_there_need_be_no_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.commit() == ""


def test_events_are_counted_over_their_types() -> None:
    metrics = (
        "# TYPE gatebook_events_total counter\n"
        'gatebook_events_total{type="user.registered"} 64.0\n'
        'gatebook_events_total{type="session.started"} 1.0e+03\n'
        'gatebook_events_created{type="user.registered"} 1.7e+09\n'
        'gatebook_requests_total{route="/refresh"} 5.0\n'
    )
    assert count_events(metrics) == 1064


def test_what_wrk_says_is_read() -> None:
    assert wrk.parse(WRK_SAID.format(status=0, connect=0)) == Tally(2010, 1.005)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (WRK_SAID.format(status=3, connect=0), "3 of 2010 answers were of 400 or more"),
        (WRK_SAID.format(status=0, connect=2), "connect 2"),
        ("unable to connect\n", "told nothing"),
        (WRK_SAID.format(status=0, connect=0).replace("=2010", "=0"), "nothing was answered"),
    ],
)
def test_a_run_of_wrk_that_does_not_count_says_why(said: str, why: str) -> None:
    with pytest.raises(LoadError, match=why):
        wrk.parse(said)


def test_wrk_is_given_the_bodies_as_they_are() -> None:
    body = compact(user_secret='a "quoted" \\ ]] end')
    lua = wrk.script(Target(1, "/refresh", (body, b"{}"), 4))
    assert f"  [==[{body.decode()}]==],\n  [==[{{}}]==],\n}}" in lua
    assert "requests[i] = wrk.format(" in lua


def test_wrk_is_told_which_text_comes_back_changed() -> None:
    body = compact(refresh_token="gbr_1", rotate=True)
    lua = wrk.script(Target(1, "/refresh", (body,), 4, "refresh_token"))
    assert '"refresh_token":"([^"]+)"' in lua
    assert """string.format('{"refresh_token":"%s","rotate":true}', found)""" in lua


def test_a_steady_run_that_wrote_and_one_that_wrote_too_little_do_not_count() -> None:
    steady, recorded, rotating = bench_refresh.WAYS
    bench_refresh.check(steady, [(0, 100)])
    for way, events in ((steady, 1), (recorded, 99), (rotating, 99)):
        with pytest.raises(LoadError, match=f"{events} events were written for 100 requests"):
            bench_refresh.check(way, [(events, 100)])


class Answers(BaseHTTPRequestHandler):
    """Answers each body with what it asks for, and keeps it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # header and body leave together
    asked: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append(body)
        self.send_response(int(body))
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def answering() -> Iterator[tuple[int, list[bytes]]]:
    """A server that answers, and what it was asked."""
    asked: list[bytes] = []
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (Answers,), {"asked": asked})
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


def test_the_client_sends_the_bodies_in_turn_and_counts_whole_answers() -> None:
    with answering() as (port, asked):
        tally = client.run(Target(port, "/", (b"200", b"201"), 1), 0.3)
    assert tally.seconds > 0
    assert 2 <= tally.requests <= len(asked) <= tally.requests + 1
    assert asked == [(b"200", b"201")[i % 2] for i in range(len(asked))]


@pytest.mark.parametrize("status", [b"404", b"500", b"301"])
def test_the_client_fails_a_run_with_an_answer_that_is_not_2xx(status: bytes) -> None:
    with answering() as (port, _), pytest.raises(LoadError, match=status.decode()):
        client.run(Target(port, "/", (b"200", status), 2), 30)


def test_the_client_fails_a_run_whose_connection_breaks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        target = Target(server.getsockname()[1], "/", (b"{}",), 1)
        with pytest.raises(LoadError, match="broke"):
            client.run(target, 30)
        thread.join()
    with pytest.raises(LoadError, match="could not be made"):
        client.run(target, 30)


def test_an_answer_is_whole_when_its_body_is() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    assert client.answer_size(head[:-1]) is None
    assert client.answer_size(head) == client.answer_size(head + b"0123") == len(head) + 10
    with pytest.raises(LoadError, match="no length"):
        client.answer_size(b"HTTP/1.1 200 OK\r\n\r\ncontent-length: 3\r\n")


def test_the_empty_handler_answers_a_token_of_the_size_asked_for() -> None:
    with TestClient(empty.application(20)) as server:
        answer = server.post("/refresh", json={"refresh_token": "any"})
        refused = server.post("/refresh", json={})
    assert answer.status_code == 200
    assert answer.content == compact(access_token="x" * 20)
    assert refused.status_code == 400


def test_an_answer_that_is_a_refusal_is_no_answer() -> None:
    with answering() as (port, _):
        assert ask(port, "/", b"200") == b"done"
        with pytest.raises(LoadError, match="was answered 503"):
            ask(port, "/", b"503")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    program = ("-c", "print('no place to listen')")
    with (
        pytest.raises(RuntimeError, match="did not start") as failed,
        serving(program, {}, tmp_path / "log"),
    ):
        pass
    assert "no place to listen" in "".join(failed.value.__notes__)


@pytest.mark.parametrize(
    "way",
    [
        bench_refresh.WAYS[0],
        *(pytest.param(each, marks=pytest.mark.long) for each in bench_refresh.WAYS[1:]),
    ],
    ids=lambda way: way.name,
)
def test_refresh_is_measured_from_end_to_end(tmp_path: Path, way: bench_refresh.Way) -> None:
    found = bench_refresh.on_sqlite(client.GENERATOR, TINY, way, connections=4)
    assert found.target == way.targets[0]
    assert "4 connections" in found.conditions
    assert len(found.rate_ratio.values) == 2
    assert min(*found.bare.rate.values, *found.measured.rate.values) > 0
    report = Report(machine.look_round(), "a client", quick=True, comparisons=[found])
    write(report, tmp_path / "report.json")
    read = msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report)
    assert read == report


def test_refreshing_many_sessions_is_measured_on_a_kept_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "KEPT", tmp_path)
    way = bench_refresh.MANY_WAY._replace(sessions=24)
    found = bench_refresh.on_kept(client.GENERATOR, TINY, way, connections=4)
    assert found.target == 0.60  # nothing says that anything is remembered
    assert found.name == "/refresh of 20,000 sessions on SQLite"
    assert found.measured.rate.least > 0
    with (
        population.lent(24) as url,
        pytest.raises(LoadError, match="fewer than 100 sessions live"),
    ):
        bench_refresh.old_sessions(url, 100)


@pytest.mark.long
def test_refreshing_many_sessions_is_measured_on_postgresql(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population, "KEPT", tmp_path)
    way = bench_refresh.MANY_WAY._replace(sessions=24)
    found = bench_refresh.on_moved(client.GENERATOR, TINY, way, connections=4)
    assert found.target == 0.50
    assert found.name.startswith("/refresh of 20,000 sessions on PostgreSQL 1")
    assert found.measured.database_us is not None


@pytest.mark.long
def test_a_hash_with_a_request_around_it_is_measured_on_postgresql() -> None:
    cheap = {"GATEBOOK_HASH_MEMORY_KIB": "8", "GATEBOOK_HASH_TIME": "1"}
    with new_postgresql() as store:
        found = bench_authenticate.measure(
            client.GENERATOR,
            TINY,
            bench_authenticate.REGISTRATION,
            store,
            connections=4,
            users=4,
            more=cheap,
        )
    assert found.name.startswith("/register on PostgreSQL 1")
    assert found.measured.database_us is not None


@pytest.mark.parametrize(
    "way",
    [
        bench_authenticate.LOGIN,
        pytest.param(bench_authenticate.REGISTRATION, marks=pytest.mark.long),
    ],
    ids=lambda way: way.path,
)
def test_a_hash_with_a_request_around_it_is_measured(way: bench_authenticate.Way) -> None:
    cheap = {
        "GATEBOOK_HASH_MEMORY_KIB": "8",
        "GATEBOOK_HASH_TIME": "1",
        "GATEBOOK_HASH_THREADS": "3",
    }
    with new_sqlite() as store:
        found = bench_authenticate.measure(
            client.GENERATOR, TINY, way, store, connections=4, users=4, more=cheap
        )
    assert found.target == 0.93
    assert found.name == f"{way.path} on SQLite"
    assert "3 hash threads on both sides, m=8 KiB t=1 p=1" in found.conditions
    assert min(*found.bare.rate.values, *found.measured.rate.values) > 0
    assert found.measured.database_us is None


def test_tokens_are_measured_for_each_algorithm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.benchmarks.bench_tokens.CALLS", {"ES256": 1, "EdDSA": 1, "RS256": 1})
    costs = measure_tokens(2)
    assert len(costs) == 6
    assert costs["ES256 sign"]["bare cryptography"].n == 2
    assert "gatebook, whole token" in capsys.readouterr().out


def test_verifying_is_measured_for_each_algorithm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.benchmarks.bench_tokens.CALLS", {"ES256": 1, "EdDSA": 1, "RS256": 1})
    found = measure_verifying(2)
    assert [each.algorithm for each in found] == ["ES256", "EdDSA", "RS256"]
    assert found[0].costs["PyJWT decode"].n == len(found[0].ratio.values) == 2
    assert "ratio to PyJWT decode" in capsys.readouterr().out


def test_a_long_log_is_measured_from_end_to_end() -> None:
    found = bench_log.measure(600, 1)
    assert found.events >= 600
    for each in (found.rebuild, found.stock, found.log_only, found.whole, found.by_user_ms):
        assert each.least > 0
    assert len(found.lines()) == 8


def test_an_idle_service_is_measured(sqlite_url: str) -> None:
    found = bench_idle.measure(sqlite_url, 2, 0.1, settled=0.0)
    assert found.n == 2
    assert found.least >= 0
    assert "at most 1" in bench_idle.Idle("SQLite", found).lines()[0]


def test_a_name_that_is_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["refresh", "speed"])
    assert ended.value.code == 2
    assert "speed: there are refresh, bearer, authenticate, mixed" in capsys.readouterr().err


def test_figures_for_a_folder_that_is_not_there_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.benchmarks.__main__.measure_tokens", pytest.fail)
    for name in ("nowhere/figures.json", "."):
        with pytest.raises(SystemExit) as ended:
            main(["tokens", "--quick", "--json", str(tmp_path / name)])
        assert ended.value.code == 2
        assert "--json" in capsys.readouterr().err


def test_a_page_costs_at_most_20_ms_of_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every page; the best of three turns, so that a busy machine plays no part.

    The control comes first: the program fails when nothing may cost anything.
    """
    monkeypatch.setattr(bench_pages, "QUICK_TURNS", 3)
    monkeypatch.setattr(bench_pages, "QUICK_ASKED", 5)
    with monkeypatch.context() as strict:
        strict.setattr(bench_pages, "MOST_MS", 0.0)
        report = tmp_path / "report.json"
        assert main(["pages", "--quick", "--json", str(report)]) == 1
    assert "pages FAILED: more than 0 ms of CPU: " in capsys.readouterr().out
    found = msgspec.json.decode(report.read_bytes(), type=Report).pages
    assert len(found) == sum(map(len, bench_pages.pages().values()))
    assert all(each.ms.n == 3 and each.ms.least > 0 for each in found)
    assert "at most 20" in found[0].lines()[0]
    bench_pages.judge(found)


def test_no_page_is_forgotten() -> None:
    found = bench_pages.pages()
    assert found.keys() >= {
        *("/", "/register", "/login", "/account", "/account/erase", "/model", "/docs", "/schema"),
        *("/docs/{name:path}", "/docs/search", "/errors/{code:str}"),
        *("/admin", "/admin/log", "/admin/status", "/admin/keys/rotate", "/admin/users/new"),
    }
    assert not found.keys() & {"/web/live", "/web/admin/log/live", "/me", "/events"}
    assert bench_pages.arguments().keys() <= found.keys()


def test_a_page_that_nobody_knows_how_to_ask_for_is_an_error() -> None:
    @get(["/plain", "/people/{name:str}"], media_type="text/html", sync_to_thread=False)
    def show() -> str:
        return ""

    app = Litestar([show], openapi_config=None, logging_config=None)
    known = {"/people/{name:str}": ["/people/ada", "/people/grace"]}
    assert dict(bench_pages.asked_for(app.routes, known)) == {**known, "/plain": ["/plain"]}
    with pytest.raises(LookupError, match=r"/people/\{name:str\}: say in `arguments`"):
        list(bench_pages.asked_for(app.routes, {}))


def test_a_page_that_costs_too_much_is_a_failure() -> None:
    good, dear = (
        bench_pages.PageCost(path, summary(each))
        for path, each in (("/good", [19.9, 30.0]), ("/dear", [20.1, 30.0]))
    )
    bench_pages.judge([good])
    with pytest.raises(bench_pages.TooDearError, match=r"20 ms of CPU: /dear \(20\.1 ms\)$"):
        bench_pages.judge([good, dear])
    assert "MISSED" in dear.lines()[0]
    assert "MISSED" not in good.lines()[0]
