"""The tables of the log, for both kinds of storage.

A released column never changes its meaning. The database itself refuses to change or remove an
event; SQLite also refuses one that isn't the next of the log and of its stream.
"""

from __future__ import annotations

from typing import Final

from projections.storage import Kind

FORMAT: Final = 1
"""Of the tables as a whole; raised by a migration."""

RAISE_GENERATION: Final = "UPDATE store SET generation = generation + 1"
"""Said by whatever changes what processes remember: keys, and which tables are live."""

NAME_LOG: Final = "UPDATE store SET log_id = ?"
"""Said when a log goes on as another one."""

_TABLES: Final = (
    """
CREATE TABLE store (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  format BIGINT NOT NULL,
  log_id TEXT NOT NULL,
  generation BIGINT NOT NULL
)""",
    """
CREATE TABLE events (
  position BIGINT NOT NULL PRIMARY KEY,
  stream TEXT NOT NULL,
  version BIGINT NOT NULL,
  topic TEXT NOT NULL,
  schema BIGINT NOT NULL,
  time BIGINT NOT NULL,
  clear BYTEA NOT NULL,
  sealed BYTEA,
  chain BYTEA NOT NULL,
  UNIQUE (stream, version)
)""",
    """
CREATE TABLE snapshots (
  stream TEXT NOT NULL,
  version BIGINT NOT NULL,
  topic TEXT NOT NULL,
  state BYTEA NOT NULL,
  PRIMARY KEY (stream, version)
)""",
)

_SQLITE_SEAL: Final = (
    """
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are never changed'); END""",
    """
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never removed'); END""",
    """
CREATE TRIGGER events_are_dense BEFORE INSERT ON events
WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
  OR NEW.version IS NOT coalesce(
    (SELECT max(version) + 1 FROM events WHERE stream = NEW.stream), min(max(NEW.version, 0), 1))
BEGIN SELECT RAISE(ABORT, 'not the next event'); END""",
)

_POSTGRES_SEAL: Final = (
    """
CREATE FUNCTION gatebook_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'events are never changed or removed'; END $$""",
    """
CREATE TRIGGER events_never_change BEFORE UPDATE OR DELETE OR TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION gatebook_refuse()""",
)

SEALS: Final[dict[Kind, tuple[str, ...]]] = {"sqlite": _SQLITE_SEAL, "postgresql": _POSTGRES_SEAL}


def tables(kind: Kind) -> tuple[str, ...]:
    """The statements that make the log's tables, once."""
    return _TABLES + SEALS[kind]
