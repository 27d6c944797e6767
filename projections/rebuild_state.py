"""The rebuild that is under way: one row of the store, with the lease of whoever is at it.

Knows nothing of how a view is filled.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from domain.errors import RebuildRunning
from projections.live import read_pointers
from projections.naming import Names, base_of, table_of
from projections.storage import Rows, Storage

LEASE: Final = 15_000_000
"""µs of silence after which somebody else may go on."""

CREATE_REBUILDS: Final = """
CREATE TABLE IF NOT EXISTS rebuilds (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  build BIGINT NOT NULL,
  position BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  accept BIGINT NOT NULL,
  served BIGINT NOT NULL,
  holder TEXT NOT NULL,
  lease_until BIGINT NOT NULL,
  resumed_at BIGINT NOT NULL,
  resumed_position BIGINT NOT NULL
)"""
ADD_DIGEST: Final = (
    "ALTER TABLE views ADD COLUMN digest TEXT",
    "ALTER TABLE views ADD COLUMN digest_position BIGINT",
)
SET_DIGEST: Final = "UPDATE views SET digest = ?, digest_position = ? WHERE name = ?"
CREATE_BUILDS: Final = """
CREATE TABLE IF NOT EXISTS builds (
  name TEXT PRIMARY KEY,
  last BIGINT NOT NULL
)"""
"""The number of each view's last build, whatever became of it: no number is used again."""
_LAST: Final = "SELECT last FROM builds WHERE name = ?"
_NUMBER: Final = """
INSERT INTO builds (name, last) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET last = excluded.last"""
_STATE: Final = """
SELECT name, version, build, position, started_at, accept, served, holder, lease_until, resumed_at,
  resumed_position
FROM rebuilds"""
BEGIN: Final = """
INSERT INTO rebuilds (one, name, version, build, position, started_at, accept, served, holder,
  lease_until, resumed_at, resumed_position)
VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
RESUME: Final = """
UPDATE rebuilds SET accept = ?, served = ?, holder = ?, lease_until = ?, resumed_at = ?,
  resumed_position = position"""
MOVE: Final = "UPDATE rebuilds SET position = ?, lease_until = ?"
LEAVE: Final = "UPDATE rebuilds SET lease_until = 0 WHERE holder = ?"
END: Final = "DELETE FROM rebuilds"


class State(NamedTuple):
    """How far a rebuild has come; times in µs. `served` says that a service began it."""

    name: str
    version: int
    build: int
    position: int
    started_at: int
    accept: int
    served: int
    holder: str
    lease_until: int
    resumed_at: int
    resumed_position: int

    @property
    def names(self) -> Names:
        """What the view's name stands for while it is filled."""
        return ((base_of(self.name, self.version), self.table),)

    @property
    def table(self) -> str:
        """The table that is filled."""
        return table_of(self.name, self.version, self.build)


def read_state(rows: Rows) -> State | None:
    """The rebuild that is under way, whoever is at it."""
    found = rows.fetch(_STATE)
    return State(*found[0]) if found else None  # type: ignore[arg-type]


def next_build(rows: Rows, name: str, version: int) -> int:
    """A number for a build that was never used; nor is it the live one's or a left table's.

    Whoever wrote to the store may have taken away what is kept of the last one.
    """
    found, live = rows.fetch(_LAST, (name,)), read_pointers(rows).get(name)
    number = max(int(found[0][0] or 0) if found else 0, live.build if live else 0) + 1
    while rows.has_table(table_of(name, version, number)):
        number += 1
    rows.execute(_NUMBER, (name, number))
    return number


def cancel(storage: Storage, name: str) -> bool:
    """Give up a view's rebuild, whoever is at it; whether there was one. Its table is left over."""
    with storage.transaction() as rows:
        state = read_state(rows)
        if state is None or state.name != name:
            return False
        rows.execute(END)
        rows.commit()
    return True


def check_free(state: State, name: str, holder: str, now: int) -> None:
    """Raises `RebuildRunning` unless whoever held it is gone, or it was oneself."""
    if state.lease_until > now and state.holder != holder:
        msg = f"A rebuild of {state.name} is running. Wait for its end, or cancel it."
        raise RebuildRunning(msg)
    if state.name != name:
        msg = f"A rebuild of {state.name} was broken off. Go on with it, or cancel it, first."
        raise RebuildRunning(msg)
