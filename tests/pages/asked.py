"""Which views a database is asked for, while a service and the commands do what they do.

Reads PostgreSQL's own log of statements, between two marks. Knows no reader.
"""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from app.web.model.readers import LOG
from projections.live import newest
from projections.registry import PROJECTIONS

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

EVERY_STATEMENT: Final = {"log_statement": "all"}
"""What such a server is told."""

_BEGIN: Final = re.compile(r"^\S+ \S+ \S+ \[\d+\] ", re.MULTILINE)
_READS: Final = re.compile(r"LOG:  (?:statement|execute [^:]*): \s*(?:SELECT|WITH|DECLARE|COPY)\b")
_VIEW: Final = re.compile(
    rf"(?:FROM|JOIN|COPY) ({'|'.join(each.name for each in newest(PROJECTIONS))})(?:_r\d+)?_v\d"
)
_EVENTS: Final = re.compile(r"\bclear\b.*\bFROM (?:\w+ w\s+JOIN )?events\b", re.DOTALL)


@contextmanager
def asked(server: PostgresServer) -> Iterator[Counter[str]]:
    """How many statements read of each view in here, once it is over; of events as `LOG`.

    Only what is in an event counts as read of the log, not where it ends.
    """
    begin, end = (f"mark {secrets.token_hex(8)}" for _ in range(2))
    found: Counter[str] = Counter()
    server.psql(f"SELECT '{begin}'")
    yield found
    server.psql(f"SELECT '{end}'")
    _, _, said = server.log.read_text(encoding="utf-8").partition(begin)
    for statement in _BEGIN.split(said.partition(end)[0]):
        if _READS.match(statement):
            found.update(set(_VIEW.findall(statement)))
            found.update([LOG] if _EVENTS.search(statement) else [])
