"""The server at its socket: what is a request, and how large. Raw bytes throughout."""

from __future__ import annotations

import contextlib
import re
import socket

import pytest

from tests.http.framing import AMBIGUOUS, GET, LAST, POST
from tests.http.raw import (
    Running,
    headers_of,
    is_one_refusal,
    json_of,
    read_all,
    read_answer,
)


@pytest.fixture(scope="module")
def server():
    with Running() as running:
        yield running.serving()
        assert running.stop() == 0


# -- What is a request -----------------------------------------------------------------------------


def test_a_plain_request_is_answered_with_a_date_and_no_server_header(server):
    """Security rule 24."""
    got = server.ask(POST + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert "date" in headers_of(got)
    assert "server" not in headers_of(got)
    assert json_of(got)["body"] == "hi"


@pytest.mark.parametrize("request_bytes", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
def test_ambiguous_framing_is_one_400_and_the_end(server, request_bytes):
    """Security rule 7."""
    # What comes behind it would be another request, to whom reads it in another way.
    assert is_one_refusal(server.ask(request_bytes + LAST))


# Between requests of one packet an empty line is skipped, whatever ends it.
BEHIND = {name: data for name, data in AMBIGUOUS.items() if not data.startswith(b"\n")}


@pytest.mark.parametrize("request_bytes", BEHIND.values(), ids=BEHIND.keys())
def test_ambiguous_framing_behind_a_good_request_is_refused_after_its_answer(server, request_bytes):
    """Security rule 7."""
    with server.connect() as client:
        client.sendall(GET + b"\r\n" + request_bytes + LAST)
        first = read_answer(client)
        got = first + read_all(client)
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    length = int(headers_of(got)["content-length"])
    assert is_one_refusal(got.partition(b"\r\n\r\n")[2][length:])


def test_the_app_never_sees_a_request_that_is_refused(server):
    """Security rule 7. It is told of each, to count them."""
    before = server.state()
    whole = [data for name, data in AMBIGUOUS.items() if "chunk" not in name or "length" in name]
    for data in whole:
        server.ask(data)
    after = server.state()
    assert after["calls"] == before["calls"]
    assert after["refusals"] - before["refusals"] == len(whole)


def test_a_body_that_breaks_off_is_gone_for_the_app_and_answered_400(server):
    before = server.state()
    got = server.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"zz\r\n")
    assert is_one_refusal(got)
    after = server.state()
    assert after["calls"] - before["calls"] == after["gone"] - before["gone"] <= 1
    assert after["refusals"] == before["refusals"]


@pytest.mark.parametrize("method", [b"FOO", b"BREW", b"GETS", b"get", b"PLAY", b"DESCRIBE"])
def test_a_method_that_no_server_knows_is_a_400_that_says_so(server, method):
    """Security rule 3. A 405 would have to name what the path takes, and no path was read."""
    got = server.ask(method + b" /echo HTTP/1.1\r\nHost: a\r\n\r\n")
    assert is_one_refusal(got)
    assert json_of(got)["detail"].startswith("The request doesn't begin with a method ")
    # Any other fault isn't blamed on the method.
    assert " method " not in json_of(server.ask(AMBIGUOUS["two lengths"]))["detail"]


def test_a_refusal_is_in_the_log_under_the_id_that_it_has():
    with Running() as server:
        problem = json_of(server.serving().ask(AMBIGUOUS["no host"]))
        assert server.stop() == 0
        (line,) = [record for record in server.log if record["event"] == "refused"]
        assert (line["request_id"], line["status"]) == (problem["request_id"], 400)
        assert line["why"] == problem["detail"]


def test_a_request_may_arrive_in_any_pieces(server):
    request = b"\r\n" + POST + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(len(request))]
        for cut, client in enumerate(clients):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(request[:cut])
        # An answer to another client shows that the server has read the first pieces.
        server.state()
        for cut, client in enumerate(clients):
            client.sendall(request[cut:])
        for client in clients:
            assert json_of(read_all(client))["body"] == "hello"


def test_a_request_may_arrive_byte_by_byte_and_the_next_on_the_same_connection(server):
    request = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"
    with server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):
            for byte in request:
                client.sendall(bytes([byte]))
            assert json_of(read_answer(client))["body"] == "hello"
        client.sendall(b"GET /echo HTTP/1.1\nHost: a\n")
        assert is_one_refusal(read_all(client))


def test_requests_of_one_packet_are_answered_in_their_order(server):
    bodies = [f"{number:02}" for number in range(20)]
    request = b"".join(POST + b"Content-Length: 2\r\n\r\n" + body.encode() for body in bodies)
    got = server.ask(request + LAST)
    assert re.findall(rb'"body": "(..)"', got) == [body.encode() for body in bodies]


def test_too_many_requests_at_once_are_refused_after_the_ones_before(server):
    """Security rule 1."""
    got = server.ask((GET + b"\r\n") * 5_000)
    assert 1 < got.count(b"HTTP/1.1 200") < 5_000
    assert is_one_refusal(got[got.rindex(b"HTTP/1.1 ") :])


def test_trailers_never_become_headers(server):
    got = server.ask(
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        b"0\r\nAuthorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    )
    names = [name for name, _ in json_of(got)["headers"]]
    assert names == ["host", "connection", "transfer-encoding"]


def test_a_body_survives_the_offer_of_another_protocol(server):
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    with server.connect() as client:
        for _ in range(2):
            client.sendall(POST + offer + b"Content-Length: 5\r\n\r\nhello")
            assert json_of(read_answer(client))["body"] == "hello"


def test_http_1_0_is_answered_and_closed(server):
    got = server.ask(b"GET /echo HTTP/1.0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json_of(got)["version"] == "1.0"


def test_a_client_that_asks_may_send_its_body(server):
    with server.connect() as client:
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        waited = client.recv(65_536)
        assert waited == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"hi")
        assert json_of(read_answer(client))["body"] == "hi"


# -- Sizes -----------------------------------------------------------------------------------------


def head_of(size: int) -> bytes:
    start = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_head_of_16_kib_is_read_and_one_byte_more_is_not(server, pieces):
    """Security rule 1."""
    for size, taken in ((16_384, True), (16_385, False), (20_000, False)):
        head = head_of(size)
        assert len(head) == size
        step = -(-size // pieces)
        with server.connect() as client:
            for start in range(0, size, step):
                client.sendall(head[start : start + step])
                if start + step < size:
                    server.state()
            got = read_all(client)
        assert got.startswith(b"HTTP/1.1 200 OK\r\n") if taken else is_one_refusal(got)


def test_a_huge_head_gets_its_400_and_no_reset(server):
    """Security rule 1."""
    for data in (
        b"GET /echo HTTP/1.1\r\nX: " + b"x" * 3_000_000,
        GET + b"X: y\r\n" * 500_000,
        b"GET /" + b"x" * 3_000_000,
        b"x" * 3_000_000,
    ):
        assert is_one_refusal(server.ask(data))


@pytest.mark.parametrize("ending", [b"\r\n\r\n", b""])
def test_a_huge_head_behind_a_good_request_is_refused_too(server, ending):
    """Security rule 1."""
    got = server.ask(GET + b"\r\n" + GET + b"X: " + b"x" * 20_000 + ending, b"y" * 20_000)
    first, _, rest = got.partition(b"HTTP/1.1 400")
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert is_one_refusal(b"HTTP/1.1 400" + rest)


def test_a_body_refused_early_is_skipped_and_the_connection_goes_on(server):
    with server.connect() as client:
        client.sendall(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
        assert read_answer(client).startswith(b"HTTP/1.1 413 ")
        client.sendall(b"x" * 900_000)
        client.sendall(GET + b"\r\n")
        assert read_answer(client).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("path", [b"early", b"echo", b"slow"])
def test_an_endless_body_is_cut_off(path):
    """Security rule 1."""
    with Running(limits={"body_bytes": 200_000, "linger_s": 0.1, "drain_s": 1}) as server:
        server.serving()
        with server.connect() as client, contextlib.suppress(OSError):
            client.sendall(b"POST /" + path + b" HTTP/1.1\r\nHost: a\r\n")
            client.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(20_000):
                client.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            pytest.fail("1.3 GB were taken")
        assert server.stop() == 0


def test_bodies_that_wait_behind_an_answer_are_not_hoarded(server):
    """Security rule 1."""
    with server.connect() as client, contextlib.suppress(OSError):
        client.sendall(b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(65_536)
        client.sendall(POST + b"Content-Length: 100000000000\r\n\r\n")
        client.settimeout(2)
        for _ in range(2_000):
            client.sendall(b"x" * 65_536)
        pytest.fail("130 MB were taken")
