"""What the service counts of itself, for Prometheus.

Knows no HTTP framework. One registry a process; labels are closed sets, never a user's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


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
            "Problems answered, by code and reason.",
            ("code", "reason"),
            registry=self.registry,
        )
        self._events = Counter(
            "gatebook_events",
            "Events written by this process, by type.",
            ("type",),
            registry=self.registry,
        )
        self.hash_seconds = Histogram(
            "gatebook_hash_seconds",
            "Seconds of one argon2id hash.",
            buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2),
            registry=self.registry,
        )
        self.hash_queue = Gauge(
            "gatebook_hash_queue", "Secrets waiting for a hash.", registry=self.registry
        )
        self.command_queue = Gauge(
            "gatebook_command_queue", "Commands waiting for an answer.", registry=self.registry
        )
        self.batch_commands = Histogram(
            "gatebook_batch_commands",
            "Commands decided and committed together.",
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=self.registry,
        )
        self.commit_seconds = Histogram(
            "gatebook_commit_seconds",
            "Seconds from taking a batch of commands to its answers.",
            buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self._request = lru_cache(maxsize=512)(self._requests.labels)
        self._refusal = lru_cache(maxsize=128)(self._refusals.labels)
        self._event = lru_cache(maxsize=64)(self._events.labels)

    def answered(self, route: str, method: str, status: int) -> None:
        """One more request was answered."""
        self._request(route, method, status).inc()

    def refused(self, code: str, reason: str) -> None:
        """One more problem was answered."""
        self._refusal(code, reason).inc()

    def wrote(self, event_type: str) -> None:
        """One more event is in the log."""
        self._event(event_type).inc()

    def render(self) -> bytes:
        """Everything, in the text format."""
        return generate_latest(self.registry)
