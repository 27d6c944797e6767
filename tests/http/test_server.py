"""The server at its socket: framing, limits, deadlines, draining, workers. Raw bytes throughout.

Run as a program, this file is the server that the tests talk to.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import jsonschema_rs
import msgspec
import pytest

from app import logs
from app.http.observe import REFUSAL
from app.limits import Limits
from app.server import listen, serve
from app.settings import SettingsError, load
from domain.errors import Unavailable
from tests.http.framing import AMBIGUOUS, GET, LAST, POST
from tests.running import running, settings

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"
ISSUER = "https://auth.example.org/id"
PATIENCE_S = 30  # Only ever spent when a test fails.
WORKERS = {"WORKERS": "2", "DATABASE_URL": "postgresql://h/db"}

# -- The server under test ------------------------------------------------------------------------


class Echo:
    """A tiny app: it tells what it was asked, and can wait, stream, refuse early or not start."""

    def __init__(self, *, failing: str) -> None:
        self.failing = failing
        self.calls = 0
        self.gone = 0
        self.refusals = 0
        self.stopping = asyncio.Event()
        self.released = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
            return
        if scope["type"] == REFUSAL:
            self.refusals += 1
            return
        handler = getattr(self, scope["path"].strip("/") or "echo")
        await handler(scope, receive, send)

    async def lifespan(self, receive, send) -> None:
        await receive()
        if self.failing == "unavailable":
            raise Unavailable("The store is gone.")
        if self.failing == "refused":
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.failing == "late":
            raise RuntimeError("can't stop")
        if self.failing == "never":
            await asyncio.Event().wait()
        await send({"type": "lifespan.shutdown.complete"})

    async def echo(self, scope, receive, send) -> None:
        self.calls += 1
        body = await read_body(receive)
        if body is None:
            self.gone += 1
            return
        told = {
            "method": scope["method"],
            "version": scope["http_version"],
            "headers": [
                [name.decode(), value.decode("latin-1")] for name, value in scope["headers"]
            ],
            "body": body.decode(),
            "client": scope["client"][0],
            "scheme": scope["scheme"],
        }
        await answer(send, 200, json.dumps(told).encode())

    async def state(self, _scope, receive, send) -> None:
        await read_body(receive)
        counts = {"calls": self.calls, "gone": self.gone, "refusals": self.refusals}
        told = {**counts, "pid": os.getpid()}
        await answer(send, 200, json.dumps(told).encode())

    async def slow(self, _scope, receive, send) -> None:
        await read_body(receive)
        self.entered.set()
        await self.released.wait()
        await answer(send, 200, b'"slow"')

    async def release(self, _scope, _receive, send) -> None:
        await self.entered.wait()
        self.released.set()
        await answer(send, 200, b"{}")

    async def early(self, _scope, _receive, send) -> None:
        await answer(send, 413, b'"early"')

    async def deaf(self, _scope, _receive, send) -> None:
        await begin(send)
        await asyncio.Event().wait()

    async def stream(self, _scope, _receive, send) -> None:
        await begin(send)
        await self.stopping.wait()
        await send({"type": "http.response.body", "body": b"last", "more_body": False})

    async def flood(self, _scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not self.stopping.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)


async def read_body(receive) -> bytes | None:
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def begin(send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    first = b"first from %d\n" % os.getpid()
    await send({"type": "http.response.body", "body": first, "more_body": True})


async def answer(send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(options: dict) -> int:
    logs.configure("json")
    environ = {"GATEBOOK_PORT": "0", "GATEBOOK_ISSUER": ISSUER, **options["environ"]}
    app = Echo(failing=options["failing"])
    return serve(
        lambda: app,
        load(environ).settings,
        on_stop=app.stopping.set,
        limits=Limits(**options["limits"]),
    )


class Running:
    """A server in a process of its own."""

    def __init__(self, *, limits=None, failing="", variables=None, **environ: str) -> None:
        options = {
            "limits": limits or {},
            "failing": failing,
            "environ": {f"GATEBOOK_{name}": text for name, text in environ.items()},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", __file__, json.dumps(options)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONPATH": ".", **(variables or {})},
        )
        self.log: list[dict] = []
        self.port = 0

    def wait_for(self, event: str) -> dict:
        """Read the log up to the record of that event."""
        for line in self.process.stderr:
            self.log.append(json.loads(line))
            if self.log[-1]["event"] == event:
                return self.log[-1]
        raise AssertionError(f"no {event} in {self.log}")

    def serving(self, workers: int = 1) -> Self:
        for _ in range(workers):
            self.port = int(self.wait_for("serving")["url"].rpartition(":")[2])
        return self

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, *parts: bytes) -> bytes:
        """Send each part as it is, and read until the server ends the connection."""
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            return read_all(client)

    def state(self) -> dict:
        return json_of(self.ask(b"GET /state HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))

    def end(self) -> int:
        """Read the rest of the log, and return the exit code."""
        self.log += [json.loads(line) for line in self.process.stderr]
        return self.process.wait(PATIENCE_S)

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return self.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()


def read_all(client: socket.socket) -> bytes:
    """Everything up to the end; a reset is no clean end, and fails."""
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def ended(client: socket.socket) -> bool:
    """Wait for the end, however it comes."""
    with contextlib.suppress(ConnectionResetError):
        assert read_all(client) == b""
    return True


def first_of(client: socket.socket) -> bytes:
    """Wait for the beginning of a stream: from which process it comes."""
    data = b""
    while not (found := re.search(rb"first from (\d+)\n", data)):
        data += client.recv(65_536) or pytest.fail(f"ended after {data!r}")
    return found[1]


def read_answer(client: socket.socket) -> bytes:
    """One answer that has a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65_536) or pytest.fail(f"ended after {data!r}")
    length = int(re.search(rb"content-length: (\d+)", data)[1])
    while len(data.partition(b"\r\n\r\n")[2]) < length:
        data += client.recv(65_536) or pytest.fail(f"ended after {data!r}")
    return data


def json_of(answer: bytes) -> dict:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def headers_of(answer: bytes) -> dict[str, str]:
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return dict(line.split(": ", 1) for line in lines)


@functools.cache
def described(component: str) -> jsonschema_rs.Validator:
    """What the OpenAPI description says of a component."""
    components = json.loads(GOLDEN.read_text(encoding="utf-8"))["components"]
    schema = {"$ref": f"#/components/schemas/{component}", "components": components}
    return jsonschema_rs.validator_for(schema)


def is_one_refusal(answer: bytes) -> bool:
    """One 400 as the contract and the description have it, and nothing else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer
    headers = headers_of(answer)
    assert headers["content-type"] == "application/problem+json"
    assert headers["cache-control"] == "no-store"
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["connection"] == "close"
    assert "date" in headers
    assert "server" not in headers
    problem = json.loads(body)
    described("InvalidRequestProblem").validate(problem)
    assert problem["type"] == f"{ISSUER}/errors/invalid_request"
    assert problem["errors"] == [{"pointer": "", "detail": problem["detail"]}]
    assert headers["x-request-id"] == problem["request_id"]
    return True


@pytest.fixture(scope="module")
def server():
    with Running() as running:
        yield running.serving()
        assert running.stop() == 0


@pytest.fixture(scope="module")
def hasty():
    """A server whose deadlines are short; nothing here depends on how short."""
    limits = {"head_s": 0.3, "body_s": 0.3, "idle_s": 0.3, "linger_s": 0.3, "stall_s": 0.3}
    with Running(limits=limits | {"drain_s": 1}) as running:
        yield running.serving()
        assert running.stop() == 0


# -- What is a request ----------------------------------------------------------------------------


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


# -- What the service does with refusals -----------------------------------------------------------


PLACES = {
    "https": {"ISSUER": ISSUER},
    "http behind a proxy": {"ISSUER": "http://127.0.0.1", "TRUSTED_PROXIES": "127.0.0.1"},
}


@pytest.fixture(scope="module", params=PLACES.values(), ids=[*PLACES])
def service(request, tmp_path_factory):
    """The service itself."""
    url = f"sqlite:///{tmp_path_factory.mktemp('refusing')}/gatebook.db"
    with running(settings(url, **request.param)) as started:
        yield started


def ask_service(service, *parts: bytes) -> bytes:
    """Send each part as it is, and read until the service ends the connection."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_S) as client:
        for part in parts:
            client.sendall(part)
        return read_all(client)


def counted(service) -> dict[str, float]:
    """How often what was answered and refused, `/metrics` itself left out."""
    page = ask_service(service, b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    told = re.findall(
        r"^(gatebook_re(?:quests|fusals)_total{.*}) (.*)$", page.decode(), re.MULTILINE
    )
    return {name: float(number) for name, number in told if "/metrics" not in name}


def more_than(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """What was counted since."""
    return {
        name: number - before.get(name, 0)
        for name, number in after.items()
        if number != before.get(name)
    }


def test_a_refusal_has_the_headers_of_every_other_answer(service):
    """Security rule 24."""
    own = {"date", "content-length", "x-request-id", "connection"}
    other = ask_service(service, LAST.replace(b"/echo", b"/nothing"))
    assert other.startswith(b"HTTP/1.1 404 ")
    refused, wanted = (
        {name: value for name, value in headers_of(each).items() if name not in own}
        for each in (ask_service(service, AMBIGUOUS["two lengths"]), other)
    )
    assert refused == wanted
    assert refused["x-content-type-options"] == "nosniff"
    secure = json_of(other)["type"].startswith("https:")
    assert ("strict-transport-security" in refused) == secure


REFUSED = {
    "a head too long": GET + b"X: " + b"x" * 17_000 + b"\r\n\r\n",
    "two lengths": AMBIGUOUS["two lengths"],
    "an unknown method": b"FOO /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_counted_among_answers_and_problems(service, request_bytes):
    before = counted(service)
    problem = json_of(ask_service(service, request_bytes))
    described("InvalidRequestProblem").validate(problem)
    assert more_than(before, counted(service)) == {
        'gatebook_requests_total{method="OTHER",route="unmatched",status="400"}': 1,
        'gatebook_refusals_total{code="invalid_request",reason=""}': 1,
    }


def test_a_request_whose_body_breaks_off_is_counted_once(service):
    before = counted(service)
    head = POST.replace(b"/echo", b"/revoke") + b"Content-Type: application/json\r\n"
    got = ask_service(service, head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"zz\r\n")
    described("InvalidRequestProblem").validate(json_of(got))
    assert more_than(before, counted(service)) == {
        'gatebook_requests_total{method="POST",route="/revoke",status="400"}': 1,
        'gatebook_refusals_total{code="invalid_request",reason=""}': 1,
    }


# -- Sizes ----------------------------------------------------------------------------------------


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


# -- Deadlines ------------------------------------------------------------------------------------


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


# -- Proxies --------------------------------------------------------------------------------------

FORWARDED = GET + (
    b"X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.1.2.3\r\nX-Forwarded-Proto: https\r\n"
    b"Connection: close\r\n\r\n"
)


@pytest.mark.parametrize("proxies", ["", "10.0.0.0/8,192.0.2.0/24"])
def test_forwarded_headers_of_a_stranger_change_nothing(proxies):
    """Security rule 6."""
    variables = {"FORWARDED_ALLOW_IPS": "*"}
    with Running(TRUSTED_PROXIES=proxies, variables=variables) as server:
        told = json_of(server.serving().ask(FORWARDED))
        assert (told["client"], told["scheme"]) == ("127.0.0.1", "http")
        assert server.stop() == 0


def test_a_trusted_proxy_names_the_client_that_it_saw():
    """Security rule 6: what the client itself wrote to the left of that is not believed."""
    with Running(TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8") as server:
        told = json_of(server.serving().ask(FORWARDED))
        assert (told["client"], told["scheme"]) == ("198.51.100.7", "https")
        assert server.stop() == 0


# -- Stopping -------------------------------------------------------------------------------------


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


def test_a_port_that_is_taken_is_a_fault_of_the_settings(server):
    with Running(PORT=str(server.port)) as second:
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


# -- Several workers ------------------------------------------------------------------------------


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


if __name__ == "__main__":
    raise SystemExit(main(msgspec.json.decode(sys.argv[1])))
