"""Requests that wait for longer than they may, and what is waited for less long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app import buckets_memory, buckets_postgres, dispatcher, lookup, reading, writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.bootstrap import Service
    from tests.breaches import Breach

_FOR_EVER: Final = 3_600.0


def _wait_for_ever(service: Service, value: str) -> None:
    """Whoever waits for the store waits for as long as it takes."""
    del service, value
    for waits in (buckets_memory, buckets_postgres, dispatcher, lookup, reading):
        vars(waits)["left"] = lambda most: _FOR_EVER


def _settle_soon(service: Service, seconds: str) -> None:
    """What became of a commit is asked for so long: no breach."""
    del service
    vars(writer)["SETTLE_WITHIN"] = float(seconds)


BREACHES: Final[Mapping[str, Breach]] = {
    "NO_DEADLINE": _wait_for_ever,
    "SETTLE": _settle_soon,
}
