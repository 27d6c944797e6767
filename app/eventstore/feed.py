"""The log as projections read it: the events that each wants, decoded, position by position.

Knows no projection.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from app.eventstore.log import COLUMNS, record_from
from domain.catalogue import UnknownEvent
from domain.errors import Damage
from domain.events import Event
from projections.runner import Chunk, Failure
from projections.storage import Rows

_HEAD: Final = "SELECT max(position) FROM events"
_SPAN: Final = f"""
SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? AND topic IN (%s)
ORDER BY position"""  # noqa: S608


class LogFeed:
    """Reads whatever rows it is given."""

    def after(self, rows: Rows, position: int, span: int, wants: frozenset[type[Event]]) -> Chunk:
        """Those wanted among so many positions after one, up to the first that can't be read."""
        last = min(position + span, self.head(rows))
        sql, topics = _wanted(wants)
        recorded = []
        for row in rows.fetch(sql, (position, last, *topics)):
            record = record_from(row)
            try:
                recorded.append(record.recorded())
            except (UnknownEvent, Damage) as error:
                failure = Failure(record.position, record.topic, str(error))
                return Chunk(recorded, record.position - 1, failure)
        return Chunk(recorded, last)

    def head(self, rows: Rows) -> int:
        """The last position, 0 before the first."""
        return int(rows.fetch(_HEAD)[0][0] or 0)


@lru_cache(maxsize=64)
def _wanted(wants: frozenset[type[Event]]) -> tuple[str, list[str]]:
    topics = sorted(each.name for each in wants)
    return _SPAN % ", ".join("?" * len(topics)), topics
