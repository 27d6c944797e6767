"""The server in a process of its own, spoken to in raw bytes, for its tests.

Knows no property.
"""

from __future__ import annotations

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
import pytest

from tests.http import echo
from tests.http.echo import ISSUER

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"
PATIENCE_S = 30  # Only ever spent when a test fails.


class Running:
    """A server in a process of its own."""

    def __init__(self, *, limits=None, failing="", variables=None, **environ: str) -> None:
        options = {
            "limits": limits or {},
            "failing": failing,
            "environ": {f"GATEBOOK_{name}": text for name, text in environ.items()},
        }
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", echo.__file__, json.dumps(options)],
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
