"""Followers of the log that look seldom, lose events, or stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from app import revocation_feed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.audit import Page, Wanted
    from app.bootstrap import Service
    from tests.breaches import Breach


def _look_seldom(service: Service, seconds: str) -> None:
    """Seconds between two looks for new revocations."""
    del service
    revocation_feed.LOOK_EVERY = float(seconds)  # type: ignore[misc]


def _lose_events(service: Service, value: str) -> None:
    """Whoever follows the log isn't told the first event of each read."""
    read = service.event_feed._read

    async def losing(wanted: Wanted, position: int) -> Page:
        found = await read(wanted, position)
        return msgspec.structs.replace(found, items=found.items[1:])

    del value
    service.event_feed._read = losing  # type: ignore[method-assign]


def _stop_following(service: Service, value: str) -> None:
    """Following views stand still, so that only what was asked for is written: no breach."""
    del value
    service.following.news = lambda head: None  # type: ignore[method-assign,assignment]


BREACHES: Final[Mapping[str, Breach]] = {
    "LOOK_EVERY": _look_seldom,
    "LOSE_EVENTS": _lose_events,
    "NOT_FOLLOWING": _stop_following,
}
