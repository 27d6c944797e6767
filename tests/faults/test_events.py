"""Following the log while everybody writes it: a long proof of `tests.prove` in its short form."""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import event_stream


def test_a_follower_hears_of_each_event_once_and_in_order(database_url: str) -> None:
    holds(event_stream, database_url)
