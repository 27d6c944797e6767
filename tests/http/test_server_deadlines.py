"""The server at its socket: how long it waits, for what is sent and for what is read."""

from __future__ import annotations

import contextlib

import pytest

from tests.http.framing import AMBIGUOUS, GET, POST
from tests.http.raw import (
    Running,
    ended,
    is_one_refusal,
    read_all,
    read_answer,
)


@pytest.fixture(scope="module")
def hasty():
    """A server whose deadlines are short; nothing here depends on how short."""
    limits = {"head_s": 0.3, "body_s": 0.3, "idle_s": 0.3, "linger_s": 0.3, "stall_s": 0.3}
    with Running(limits=limits | {"drain_s": 1}) as running:
        yield running.serving()
        assert running.stop() == 0


@pytest.mark.parametrize("start", [b"", b"G", GET, GET + b"X: y\r\n", b"\r\n"])
def test_a_head_that_doesnt_come_is_cut_off(hasty, start):
    with hasty.connect() as client:
        client.sendall(start)
        assert ended(client)


@pytest.mark.parametrize(
    "start",
    [
        POST + b"Content-Length: 2\r\n\r\n",
        POST + b"Content-Length: 2\r\n\r\na",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n",
    ],
)
def test_a_body_that_doesnt_come_is_cut_off(hasty, start):
    with hasty.connect() as client:
        client.sendall(start)
        assert ended(client)


@pytest.mark.parametrize(
    "start",
    [b"", GET + b"X: ", POST + b"Content-Length: 1000000\r\n\r\n"],
    ids=["", "head", "body"],
)
def test_sending_a_little_now_and_then_doesnt_move_the_deadline(hasty, start):
    with hasty.connect() as client:
        client.sendall(start)
        client.settimeout(0.02)
        with pytest.raises((ConnectionResetError, BrokenPipeError, EOFError)):  # noqa: PT012
            for _ in range(1_000):
                client.sendall(b"x" if start else b"\r\n")
                with contextlib.suppress(TimeoutError):
                    if not client.recv(1):
                        raise EOFError


def test_the_next_head_on_a_connection_has_a_deadline_too(hasty):
    with hasty.connect() as client:
        client.sendall(GET + b"\r\n")
        read_answer(client)
        client.sendall(GET)
        assert ended(client)


def test_an_idle_connection_is_closed_also_after_an_answer_that_came_early(hasty):
    with hasty.connect() as client:
        client.sendall(GET + b"\r\n")
        read_answer(client)
        assert ended(client)
    with hasty.connect() as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        read_answer(client)
        client.sendall(b"hi")
        assert ended(client)


def test_a_refused_client_that_stays_is_cut_off(hasty):
    with hasty.connect() as client:
        client.sendall(AMBIGUOUS["no host"])
        assert is_one_refusal(read_all(client))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
            for _ in range(100):
                with hasty.connect() as other:
                    assert ended(other)
                client.sendall(b"x")


def test_an_answer_may_take_longer_than_any_deadline(hasty):
    with hasty.connect() as slow:
        slow.sendall(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
        slow.sendall(b"hi")
        # Another client is cut off meanwhile, so that the deadlines have passed.
        with hasty.connect() as client:
            client.sendall(GET)
            assert ended(client)
        with hasty.connect() as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
            assert ended(client)
        hasty.ask(b"GET /release HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert read_answer(slow).endswith(b'\r\n\r\n"slow"')


def test_a_client_that_doesnt_read_its_answer_is_cut_off(hasty):
    size = 0
    with hasty.connect() as client:
        client.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        with contextlib.ExitStack() as stack:
            # Meanwhile others are cut off, each after a deadline as long as the stall's.
            for _ in range(4):
                other = stack.enter_context(hasty.connect())
                assert ended(other)
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while part := client.recv(1_000_000):
                got = part
                size += len(part)
                assert size < 100_000_000
        assert not got.endswith(b"0\r\n\r\n")
