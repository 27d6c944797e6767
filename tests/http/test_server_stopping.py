"""The server at its socket: starting, stopping, draining, and its workers."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from app.server import listen
from app.settings import SettingsError
from tests.http.framing import GET
from tests.http.raw import Running, first_of, json_of, read_all, read_answer

WORKERS = {"WORKERS": "2", "DATABASE_URL": "postgresql://h/db"}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_answers_what_is_open_ends_streams_and_exits_0(sig):
    with Running() as server:
        server.serving()
        with server.connect() as slow, server.connect() as stream, server.connect() as idle:
            stream.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            first_of(stream)
            idle.sendall(GET + b"\r\n")
            read_answer(idle)
            slow.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
            server.state()
            server.process.send_signal(sig)
            # The stream ends, so the server has been told; then it takes nobody in.
            assert read_all(stream).endswith(b"4\r\nlast\r\n0\r\n\r\n")
            assert read_all(idle) == b""
            with pytest.raises(ConnectionRefusedError):
                server.connect()
            slow.sendall(b"hi")
            assert json_of(read_answer(slow))["body"] == "hi"
            assert read_all(slow) == b""
        assert server.end() == 0
        assert server.log[-1] == {**server.log[-1], "event": "stopped", "drained": True}


def test_a_request_that_never_ends_is_left_after_a_while_and_the_code_is_0():
    with Running(limits={"drain_s": 1}) as server, server.serving().connect() as client:
        client.sendall(b"GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n")
        first_of(client)
        assert server.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_doesnt_wait(workers):
    variables = WORKERS if workers > 1 else {}
    with Running(**variables) as server, contextlib.ExitStack() as stack:
        server.serving(workers)
        client = stack.enter_context(server.connect())
        client.sendall(b"GET /deaf HTTP/1.1\r\nHost: a\r\n\r\n")
        process = first_of(client)
        for _ in range(1_000):
            stream = stack.enter_context(server.connect())
            stream.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
            if first_of(stream) == process:
                break
        server.process.send_signal(signal.SIGTERM)
        # The end of the stream shows that the process of both has taken the first signal.
        assert read_all(stream).endswith(b"0\r\n\r\n")
        assert server.stop() == 1
        assert False in [r["drained"] for r in server.log if r["event"] == "stopped"]


def test_an_app_that_doesnt_stop_is_left_in_time():
    with Running(failing="never", limits={"exit_s": 0.5}) as server:
        assert server.serving().stop() == 1
        assert server.log[-1]["event"] == "stopped_without_draining"


@pytest.mark.parametrize(("failing", "code"), [("unavailable", 6), ("refused", 1), ("late", 1)])
def test_an_app_that_fails_to_start_or_stop_gives_its_exit_code(failing, code):
    with Running(failing=failing) as server:
        if failing == "late":
            server.serving().process.send_signal(signal.SIGTERM)
        assert server.end() == code
        told = server.log[-1]
        assert told["event"] == "not_started"
        assert failing != "unavailable" or told["detail"] == "The store is gone."


def test_a_port_that_is_taken_is_a_fault_of_the_settings():
    with Running() as server, Running(PORT=str(server.serving().port)) as second:
        assert second.end() == 2
        assert str(server.port) in second.log[-1]["detail"]


def test_a_host_that_is_not_here_is_a_fault_of_the_settings():
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(SettingsError, match="GATEBOOK_"):
            listen(host, 0)


def test_a_name_is_listened_to_on_each_of_its_addresses():
    sockets = listen("localhost", 0)
    try:
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
        assert len({bound.family for bound in sockets}) == len(sockets)
    finally:
        for bound in sockets:
            bound.close()


# -- Several workers -------------------------------------------------------------------------------


def test_workers_share_one_socket_are_replaced_when_they_die_and_stop_together():
    with Running(**WORKERS) as server:
        server.serving(2)
        pids = {record["process"] for record in server.log if record["event"] == "serving"}
        assert len(pids) == 2
        victim = server.state()["pid"]
        assert victim in pids
        os.kill(victim, signal.SIGKILL)
        assert server.wait_for("worker_ended")["process"] == victim
        replacement = server.wait_for("serving")["process"]
        assert replacement not in pids
        with server.connect() as client:
            client.sendall(GET + b"\r\n")
            read_answer(client)
            assert server.stop() == 0
            assert read_all(client) == b""
        assert [record["event"] for record in server.log[-2:]] == ["stopped", "stopped"]


def test_a_terminals_interrupt_reaches_all_workers_and_counts_once():
    with Running(limits={"drain_s": 1}, **WORKERS) as server:
        server.serving(2)
        pids = {record["process"] for record in server.log}
        for pid in pids:
            os.kill(pid, signal.SIGINT)
        assert server.stop(signal.SIGINT) == 0


def test_workers_end_when_their_supervisor_is_gone():
    with Running(**WORKERS) as server:
        server.serving(2)
        server.process.kill()
        # The log ends only when every process that could write to it has ended.
        server.end()
        assert [record["event"] for record in server.log[-2:]] == ["stopped", "stopped"]


def test_workers_that_cannot_start_give_their_exit_code():
    with Running(failing="unavailable", **WORKERS) as server:
        assert server.end() == 6
