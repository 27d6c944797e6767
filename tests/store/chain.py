"""The chain of a log proved once more, past the code of the product that proves it.

Knows what is hashed, and nothing of views, people or keys but the log's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.eventstore.log import COLUMNS, record_from
from app.eventstore.record import GENESIS
from domain.errors import Damage

if TYPE_CHECKING:
    from projections.storage import Rows

_CHAINED: Final = f"""
SELECT {COLUMNS}, chain FROM events WHERE position > ? ORDER BY position LIMIT ?"""


def verify_chain(rows: Rows, chain_key: bytes, *, page: int = 1000) -> int:
    """Re-read the whole log: dense positions, times that never go back, every chain right.

    Gives the head's position; raises `Damage` naming the first position that is wrong.
    """
    position, time, chain = 0, 0, GENESIS
    versions: dict[str, int] = {}
    while found := rows.fetch(_CHAINED, (position, page)):
        for row in found:
            record = record_from(row[:-1])
            chain = record.chained(chain_key, chain)
            before = versions.get(record.stream, 0)
            if (record.position, record.version) != (position + 1, before + 1):
                msg = f"The log has a gap at position {record.position}."
                raise Damage(msg)
            if row[-1] != chain or record.time < time:
                msg = f"The event at position {record.position} was changed."
                raise Damage(msg)
            position, time = record.position, record.time
            versions[record.stream] = record.version
    return position
