"""What the database itself watches over: the triggers are those that a store is made with.

Somebody who may change tables can switch a guard off, or add one of his own that writes, and
leave every row as it should be. Knows no row.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from app.eventstore.schema import SEALS
from app.verifying.findings import Findings
from projections.comparison import spelled
from projections.storage import Kind, Rows

_SQLITE: Final = """
SELECT name, tbl_name, sql, '', 'O' FROM sqlite_master WHERE type = 'trigger'
ORDER BY tbl_name, name"""
_POSTGRESQL: Final = """
SELECT t.tgname::text, c.relname::text, pg_get_triggerdef(t.oid, true), f.prosrc, t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc f ON f.oid = t.tgfoid
WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace
UNION ALL
SELECT r.rulename::text, r.tablename::text, r.definition, '', 'O' FROM pg_rules r
WHERE r.schemaname = current_schema()
ORDER BY 2, 1"""
_MADE: Final[dict[Kind, str]] = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}
_TRIGGER: Final = re.compile(r"CREATE TRIGGER (\w+) .*? ON (\w+)\b", re.DOTALL)
_BODY: Final = re.compile(r"\$\$(.*)\$\$", re.DOTALL)
_ACTIVE: Final = {"O", "A"}
"""`tgenabled` of a trigger that fires for everybody, or always."""


class _Guard(NamedTuple):
    """What it says; and on PostgreSQL what its function does."""

    text: str
    body: str


def check_guards(rows: Rows, kind: Kind, findings: Findings) -> None:
    """Each guard is there, is what it was made as, and is switched on; and no other is there."""
    wanted = _wanted(kind)
    for name, table, text, body, enabled in rows.fetch(_MADE[kind]):
        key = spelled(table, name)
        guard = wanted.pop((str(table), str(name)), None)
        if guard is None:
            findings.add("triggers", key, "Too many: this release makes no such trigger or rule.")
        elif _said(str(text)) != guard.text or _plain(str(body)) != guard.body:
            findings.add("triggers", key, "This guard is otherwise than it was made.")
        elif enabled not in _ACTIVE:
            findings.add("triggers", key, "This guard is switched off.")
    for table, name in wanted:
        findings.add("triggers", spelled(table, name), "Missing: this guard was removed.")


def _wanted(kind: Kind) -> dict[tuple[str, str], _Guard]:
    """By table and name."""
    found, body = {}, ""
    for statement in SEALS[kind]:
        made = _TRIGGER.search(statement)
        if made is None:
            inner = _BODY.search(statement)
            body = _plain(inner[1]) if inner is not None else ""
        else:
            found[made[2], made[1]] = _Guard(_said(statement), body)
    return found


def _said(statement: str) -> str:
    """In one spelling: PostgreSQL gives a trigger's events in an order of its own."""
    head, on, rest = _plain(statement).partition(" ON ")
    if " OR " in head:
        begin, _, events = head.rpartition(" BEFORE ")
        head = f"{begin} BEFORE {' OR '.join(sorted(events.split(' OR ')))}"
    return head + on + rest


def _plain(text: str) -> str:
    return " ".join(text.split())
