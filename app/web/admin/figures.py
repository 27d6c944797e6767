"""What the service counts of itself, in words: queues, streams, and what was refused.

Knows no page. The reference of metrics has all of it, for machines.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from app.bootstrap import Service


class Figure(NamedTuple):
    """A number, and what it says."""

    name: str
    value: str
    about: str


def figures(service: Service) -> list[Figure]:
    """As `/metrics` has them: of all processes that serve together."""
    counts: Counter[str] = Counter()
    for family in service.metrics.collect():
        for sample in family.samples:
            counts[sample.name] += int(sample.value)
            if sample.name == "gatebook_refusals_total":
                counts[sample.labels["code"]] += int(sample.value)
    return [
        Figure(
            "Commands waiting", str(counts["gatebook_command_queue"]), "to be decided and written"
        ),
        Figure("Secrets waiting", str(counts["gatebook_hash_queue"]), "for their hash"),
        Figure(
            "Live streams", str(counts["gatebook_live_streams"]), "open, of pages and of the log"
        ),
        Figure(
            "Revocation streams", str(counts["gatebook_revocation_streams"]), "open, of verifiers"
        ),
        Figure("Requests", str(counts["gatebook_requests_total"]), "answered since the start"),
        Figure("Sessions begun", str(counts["gatebook_logins_total"]), "since the start"),
        Figure("Wrong secrets", str(counts["invalid_credentials"]), "refused since the start"),
        Figure("Throttled", str(counts["too_many_attempts"]), "attempts beyond a budget"),
        Figure("Overloaded", str(counts["overloaded"]), "refused since a queue was full"),
    ]
