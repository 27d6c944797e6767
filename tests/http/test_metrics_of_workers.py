"""The figures of a service of several processes: the same whichever answers, and none is lost."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.prove.load import SECRET, new_name
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE: Final = 30.0
"""Seconds; only ever spent when a test fails."""


class Service:
    """Two workers behind one port; every request has a connection of its own."""

    def __init__(self, supervisor: int, port: int) -> None:
        self._supervisor = supervisor
        self.url = f"http://127.0.0.1:{port}"

    @property
    def workers(self) -> list[int]:
        """Their process ids."""
        pid = self._supervisor
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    @contextmanager
    def only(self, worker: int) -> Iterator[None]:
        """Nobody else answers in here."""
        others = [each for each in self.workers if each != worker]
        for each in others:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in others:
                os.kill(each, signal.SIGCONT)

    def post(self, path: str, **members: str) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", json=members, timeout=PATIENCE)

    def figure(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have these labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=PATIENCE).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def logs_in(self, user_key: str) -> bool:
        """Log in; a worker that was stopped inside a transaction can hold it up for a while."""
        answer = self.post("/authenticate", user_key=user_key, user_secret=SECRET)
        return answer.status_code == 200

    def until(self, condition: Callable[[], bool]) -> None:
        """Ask whether it answers until something is so."""
        over = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < over
            httpx.get(f"{self.url}/healthz", timeout=PATIENCE)


@pytest.fixture
def service(postgres_url: str) -> Iterator[Service]:
    with running(settings(postgres_url, WORKERS="2")) as server:
        service = Service(server.pid, server.port)
        service.until(lambda: len(service.workers) == 2)
        for worker in service.workers:
            with service.only(worker):
                assert httpx.get(f"{service.url}/readyz", timeout=PATIENCE).status_code == 200
        yield service


def test_the_figures_of_all_workers_add_up_and_outlive_them(service: Service) -> None:
    one, other = service.workers
    user_key = service.post("/register", user_id=new_name(), user_secret=SECRET).json()["user_key"]
    for worker, logins in ((one, 3), (other, 2)):
        with service.only(worker):
            for _ in range(logins):
                service.until(lambda: service.logs_in(user_key))
            service.post("/refresh", refresh_token="gbr_nothing")
    for worker in (one, other):
        with service.only(worker):
            assert service.figure("gatebook_logins_total", by="secret") == 5
            assert service.figure("gatebook_events_total", type="user.logged_in") == 5
            assert service.figure("gatebook_refusals_total", code="invalid_token") == 2
            assert service.figure("gatebook_hash_seconds_count") >= 6
            assert service.figure("gatebook_requests_total", route="/authenticate") >= 5
            assert service.figure("gatebook_signing_key_age_seconds") > 0
    os.kill(one, signal.SIGKILL)
    service.until(lambda: one not in service.workers and len(service.workers) == 2)
    assert service.figure("gatebook_logins_total", by="secret") == 5


def test_what_a_worker_shows_of_the_moment_ends_with_it(service: Service) -> None:
    streams = "gatebook_revocation_streams"
    with ExitStack() as open_streams:
        for worker in service.workers:
            with service.only(worker):
                open_streams.enter_context(
                    httpx.stream("GET", f"{service.url}/revocations/stream", timeout=PATIENCE)
                )
        service.until(lambda: service.figure(streams) == 2)
        os.kill(service.workers[0], signal.SIGKILL)
        service.until(lambda: service.figure(streams) == 1)
    service.until(lambda: service.figure(streams) == 0)
