"""What the service counts of itself, for Prometheus.

One registry a process; where several serve, their figures add up in files that they share. Labels
are closed sets, never a user's. Knows no HTTP framework.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from domain.events import Event, UserLoggedIn

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """The figures of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "gatebook_requests",
            "Requests answered, by route template, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._refusals = Counter(
            "gatebook_refusals",
            "Refusals answered, by a problem's code, or OAuth's own word, and reason.",
            ("code", "reason"),
            registry=self.registry,
        )
        self._logins = Counter(
            "gatebook_logins",
            "Sessions begun, by how the user was known.",
            ("by",),
            registry=self.registry,
        )
        self._refreshes = Counter(
            "gatebook_refreshes",
            "Access tokens given for a refresh token, and whether that was changed.",
            ("rotated",),
            registry=self.registry,
        )
        self._events = Counter(
            "gatebook_events",
            "Events written, by type: refresh_token.rotated and .reuse_detected among them.",
            ("type",),
            registry=self.registry,
        )
        self.hash_seconds = Histogram(
            "gatebook_hash_seconds",
            "Seconds of one argon2id hash.",
            buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2),
            registry=self.registry,
        )
        self.hash_queue = self._gauge("gatebook_hash_queue", "Secrets waiting for a hash.")
        self.command_queue = self._gauge(
            "gatebook_command_queue", "Commands waiting for an answer."
        )
        self.batch_commands = Histogram(
            "gatebook_batch_commands",
            "Commands decided and committed together; the sum is that of all commands.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "gatebook_commit_seconds",
            "Seconds from taking a batch of commands to its answers.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.key_age = Gauge(
            "gatebook_signing_key_age_seconds",
            "Seconds since the key that signs was activated.",
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self.revocation_streams = self._gauge(
            "gatebook_revocation_streams", "Open streams of revocations."
        )
        self.live_streams = self._gauge(
            "gatebook_live_streams", "Open streams of pages and of the log."
        )
        self._request = lru_cache(maxsize=512)(self._requests.labels)
        self._refusal = lru_cache(maxsize=128)(self._refusals.labels)
        self._event = lru_cache(maxsize=64)(self._events.labels)
        self._login = lru_cache(maxsize=8)(self._logins.labels)
        self._refresh = lru_cache(maxsize=2)(self._refreshes.labels)
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []

    def watch(self, gauge: Gauge, what: Callable[[], float]) -> None:
        """Have a gauge show what a function gives whenever it is looked at."""
        self._watched.append((gauge, what))

    def look(self) -> None:
        """Set every watched gauge: other processes show what was set last."""
        for gauge, what in self._watched:
            gauge.set(what())

    def answered(self, route: str, method: str, status: int) -> None:
        """One more request was answered."""
        self._request(route, method, status).inc()

    def refused(self, code: str, reason: str) -> None:
        """One more refusal was answered."""
        self._refusal(code, reason).inc()

    def refreshed(self, *, rotated: bool) -> None:
        """One more refresh token was good for an access token."""
        self._refresh("yes" if rotated else "no").inc()

    def wrote(self, event: Event) -> None:
        """One more event is in the log."""
        self._event(event.name).inc()
        if isinstance(event, UserLoggedIn):
            self._login(event.by).inc()

    def render(self) -> bytes:
        """Everything, in the text format; of all processes that share their figures."""
        return generate_latest(self._together())

    def collect(self) -> Iterable[Metric]:
        """The same, to be counted with."""
        return self._together().collect()

    def _together(self) -> CollectorRegistry:
        self.look()
        if _SHARED not in os.environ:
            return self.registry
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, multiprocess_mode="livesum", registry=self.registry)


@contextmanager
def shared() -> Iterator[None]:
    """Let the figures of all processes that are forked in here add up.

    The library asks the environment once, when it is imported: it is made to ask again.
    """
    directory = tempfile.mkdtemp(prefix="gatebook-metrics-")
    os.environ[_SHARED] = directory
    importlib.reload(values)
    try:
        yield
    finally:
        del os.environ[_SHARED]
        importlib.reload(values)
        shutil.rmtree(directory, ignore_errors=True)


def forget(process: int) -> None:
    """A process that shared its figures has ended: what it showed of the moment is void."""
    multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]
