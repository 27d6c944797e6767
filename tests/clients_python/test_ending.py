"""What a program that ends waits for: a renewal that is on its way, and nothing else."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatebook_client import FileCache, GatebookAuth
from gatebook_client.flight import SingleFlight
from gatebook_client.testing import FakeIssuer
from gatebook_client.testing.answering import Reply
from gatebook_client.tokens import generation_of
from tests.clients_python.test_auth import expire
from tests.clients_python.test_failing import token_of

SECONDS = 60.0
SILENT = """
import socket
from gatebook_client import Verifier

with socket.create_server(("127.0.0.1", 0)) as server:
    for closed in (True, False):
        verifier = Verifier(f"http://127.0.0.1:{server.getsockname()[1]}", revocations=False)
        verifier.state()
        if closed:
            verifier.close()
    print("over", flush=True)
    import gatebook_client.flight
    assert not gatebook_client.flight._awaited
"""


class Slow(FakeIssuer):
    """One whose answers to `/refresh` come when they are let, and are done before."""

    def __init__(self) -> None:
        super().__init__(rotate=True)
        self.done, self.let = threading.Event(), threading.Event()
        self.let.set()

    def answer(self, method: str, path: str, body: bytes) -> Reply:
        found = super().answer(method, path, body)
        if path == "/refresh":
            self.done.set()
            assert self.let.wait(SECONDS)
        return found


@pytest.fixture
def slow() -> Iterator[Slow]:
    issuer = Slow()
    with issuer.serve():
        yield issuer
        issuer.let.set()


def test_no_program_waits_for_an_issuer_that_says_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SILENT],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_what_is_not_awaited_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    awaited: set[threading.Thread] = set()
    monkeypatch.setattr("gatebook_client.flight._awaited", awaited)
    over = threading.Event()
    flights = [SingleFlight(str(each), over.wait, awaited=each) for each in (True, False)]
    runs = [each.join() for each in flights]
    assert [each.name for each in awaited] == ["gatebook True"]
    over.set()
    assert all(each.result(SECONDS) for each in runs)


def renew_beside(auth: GatebookAuth, started: Any) -> None:
    """Ends while a renewal is on its way that nobody waits for."""
    expire(auth)
    auth._keeper._fly()
    started.set()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked here")
def test_a_child_of_multiprocessing_loses_no_rotation_either(slow: Slow, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    token = token_of(slow)
    auth = GatebookAuth(slow.issuer, refresh_token=token, cache=path)
    auth.access_token()
    path.unlink()
    slow.done.clear()
    slow.let.clear()
    context = multiprocessing.get_context("fork")
    started = context.Event()
    child = context.Process(target=renew_beside, args=(auth, started))
    child.start()
    try:
        assert started.wait(SECONDS)
        assert slow.done.wait(SECONDS)
        slow.let.set()
        child.join(SECONDS)
        assert child.exitcode == 0
        assert generation_of(FileCache(path).read().refresh_token or "") == 3
    finally:
        child.kill()
        child.join()
        child.close()
