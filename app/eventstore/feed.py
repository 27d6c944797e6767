"""The log as projections read it: the events that each wants, decoded, position by position.

An event that this release doesn't know ends what is read, whoever wants what: a newer one may mean
it for any of them. Knows no projection.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from app.eventstore.log import COLUMNS, record_from
from app.eventstore.record import Record
from domain.catalogue import EVENTS, UnknownEvent
from domain.errors import Damage
from domain.events import Event
from domain.stream import Recorded
from projections.runner import Chunk, Failure
from projections.storage import Rows

_HEAD: Final = "SELECT max(position) FROM events"
_SPAN: Final = f"""
SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? AND topic NOT IN (%s)
ORDER BY position"""  # noqa: S608


class LogFeed:
    """Reads whatever rows it is given."""

    def after(self, rows: Rows, position: int, span: int, wants: frozenset[type[Event]]) -> Chunk:
        """Those wanted among so many positions after one, up to the first that can't be read."""
        last = min(position + span, self.head(rows))
        sql, topics = _but_unwanted(wants)
        recorded: list[Recorded] = []
        for row in rows.fetch(sql, (position, last, *topics)):
            record = record_from(row)
            try:
                recorded.append(record.recorded())
            except UnknownEvent as error:
                return _up_to(record, recorded, f"A newer release wrote it: {error}. Upgrade.")
            except Damage as error:
                return _up_to(record, recorded, str(error))
        return Chunk(recorded, last)

    def head(self, rows: Rows) -> int:
        """The last position, 0 before the first."""
        return int(rows.fetch(_HEAD)[0][0] or 0)


def _up_to(record: Record, recorded: list[Recorded], why: str) -> Chunk:
    """What is before an event that can't be read."""
    failure = Failure(record.position, record.topic, why)
    return Chunk(recorded, record.position - 1, failure)


@lru_cache(maxsize=64)
def _but_unwanted(wants: frozenset[type[Event]]) -> tuple[str, list[str]]:
    """All but what is known and isn't wanted; no topic is empty."""
    topics = sorted(EVENTS.keys() - {each.name for each in wants}) or [""]
    return _SPAN % ", ".join("?" * len(topics)), topics
