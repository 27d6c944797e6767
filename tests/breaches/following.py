"""Followers of the log that look seldom, lose events, pass them over, or stand still."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from app import audit, revocation_feed
from app.eventstore.feed import LogFeed
from domain.catalogue import EVENTS
from projections.runner import Chunk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.audit import Page, Wanted
    from app.bootstrap import Service
    from app.event_feed import _Run
    from app.eventstore.record import Record
    from domain.errors import GatebookError
    from domain.events import Event
    from projections.storage import Rows
    from tests.breaches import Breach


class PassingOver(LogFeed):
    """The log without what this release doesn't know."""

    def after(self, rows: Rows, position: int, span: int, wants: frozenset[type[Event]]) -> Chunk:
        chunk = super().after(rows, position, span, wants)
        if chunk.failure is None or chunk.failure.type in EVENTS:
            return chunk
        rest = self.after(rows, chunk.failure.position, span, wants)
        return rest._replace(recorded=[*chunk.recorded, *rest.recorded])


def _look_seldom(service: Service, seconds: str) -> None:
    """Seconds between two looks for new revocations."""
    del service
    revocation_feed.LOOK_EVERY = float(seconds)  # type: ignore[misc]


def _lose_events(service: Service, value: str) -> None:
    """Whoever follows the log isn't told the first event of each read."""
    read = service.event_feed._read

    async def losing(run: _Run, wanted: Wanted, position: int) -> Page:
        found = await read(run, wanted, position)
        return msgspec.structs.replace(found, items=found.items[1:])

    del value
    service.event_feed._read = losing  # type: ignore[method-assign]


def _pass_over(service: Service, value: str) -> None:
    """Following views go on after an event that this release doesn't know."""
    del value
    service.following._follower._feed = PassingOver()


def _leave_out_of_pages(service: Service, value: str) -> None:
    """A page of the log goes on after an event that this release doesn't know."""
    read = audit._entries

    def entries(records: list[Record]) -> tuple[list[audit._Entry], GatebookError | None]:
        return read([each for each in records if each.topic in EVENTS])

    del service, value
    vars(audit)["_entries"] = entries


def _stop_following(service: Service, value: str) -> None:
    """Following views stand still, so that only what was asked for is written: no breach."""
    del value
    service.following.news = lambda head: None  # type: ignore[method-assign,assignment]


BREACHES: Final[Mapping[str, Breach]] = {
    "LOOK_EVERY": _look_seldom,
    "LOSE_EVENTS": _lose_events,
    "PASS_OVER": _pass_over,
    "PAGES_OVER": _leave_out_of_pages,
    "NOT_FOLLOWING": _stop_following,
}
