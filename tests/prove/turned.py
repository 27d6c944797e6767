"""A clock that goes on when told, for a process and for its PostgreSQL database.

New connections to the database take its time for theirs. Knows nothing of what is timed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from typing import LiteralString

_SHADOW: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA shadow",
    "CREATE TABLE shadow.clock (now timestamptz)",
    "INSERT INTO shadow.clock VALUES (to_timestamp(0))",
    """CREATE FUNCTION shadow.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
    $$ SELECT now FROM shadow.clock $$""",
)
_SET: Final = "UPDATE shadow.clock SET now = to_timestamp(%s)"


class Turned:
    """Seconds since the epoch that stand still; without a URL of PostgreSQL, this process's."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.now = float(int(time.time()))
        self._connection: psycopg.Connection | None = None
        if url.startswith("postgresql"):
            self._connection = psycopg.connect(url, autocommit=True)
            for statement in _SHADOW:
                self._connection.execute(statement)
            # What shadows a function of the system has to come before it.
            name = sql.Identifier(self._connection.info.dbname)
            path = sql.SQL("ALTER DATABASE {} SET search_path = shadow, pg_catalog")
            self._connection.execute(path.format(name))
        self.on(0)

    def __call__(self) -> float:
        return self.now

    def on(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self.now += seconds
        if self._connection is not None:
            self._connection.execute(_SET, (self.now,))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
