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
    """Those of this moment are of this process; what is counted is of all that serve together."""
    counts: Counter[str] = Counter()
    for family in service.metrics.collect():
        for sample in family.samples:
            counts[sample.name] += int(sample.value)
            if sample.name == "gatebook_refusals_total":
                counts[sample.labels["code"]] += int(sample.value)
    return [
        Figure("Commands waiting", str(service.dispatcher.waiting), "to be decided and written"),
        Figure("Secrets waiting", str(service.pool.queue_length), "for their hash"),
        Figure("Live streams", str(service.live_streams.count), "of pages and of the log"),
        Figure("Revocation streams", str(service.revocation_streams.count), "of verifiers"),
        Figure("Requests", str(counts["gatebook_requests_total"]), "answered since the start"),
        Figure("Sessions begun", str(counts["gatebook_logins_total"]), "since the start"),
        Figure("Wrong secrets", str(counts["invalid_credentials"]), "refused since the start"),
        Figure("Throttled", str(counts["too_many_attempts"]), "attempts beyond a budget"),
        Figure("Overloaded", str(counts["overloaded"]), "refused since a queue was full"),
    ]
