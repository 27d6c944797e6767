"""What a store's tables must be: their columns, and what makes a name unique and a stream linear.

Compared with those that this release makes, in a database of its own, of whichever kind the store
is: in words that are the same for both. Indexes are known by their names, constraints by what they
say. Knows no row and no table.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from app.additions import ADDITIONS
from app.store import lay_out
from app.verifying.findings import Findings
from projections.live import newest
from projections.naming import base_of, renamed, table_of
from projections.registry import PROJECTIONS
from projections.storage import Kind, Rows
from projections.storage_scratch import scratch

Shapes = Mapping[str, set[str]]
"""By table: `column time integer not null`, `primary key (position)`, `index NAME (until)`."""

_VIEWS: Final = "SELECT name, version, build FROM views"
_COLUMNS: Final[dict[Kind, str]] = {
    "sqlite": """
SELECT m.name, c.name, c.type, c."notnull" OR c.pk
FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table'""",
    "postgresql": """
SELECT t.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p')
  AND a.attnum > 0 AND NOT a.attisdropped""",
}
_INDEXES: Final[dict[Kind, str]] = {
    "sqlite": """
SELECT m.name, i.name, i.origin, i."unique", i.partial, 1,
  (SELECT group_concat(coalesce(name, '?') || CASE WHEN "desc" THEN ' DESC' ELSE '' END, ', ')
    FROM (SELECT x.name, x."desc" FROM pragma_index_xinfo(i.name) x WHERE x.key ORDER BY x.seqno))
FROM sqlite_master m, pragma_index_list(m.name) i WHERE m.type = 'table' AND i.origin <> 'pk'
UNION ALL
SELECT m.name, '', 'pk', 1, 0, 1, (SELECT group_concat(name, ', ')
  FROM (SELECT c.name FROM pragma_table_xinfo(m.name) c WHERE c.pk ORDER BY c.pk))
FROM sqlite_master m
WHERE m.type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name) c WHERE c.pk)""",
    "postgresql": """
SELECT t.relname::text, i.relname::text,
  CASE WHEN x.indisprimary THEN 'pk' WHEN u.oid IS NULL THEN 'c' ELSE 'u' END,
  x.indisunique, x.indpred IS NOT NULL, x.indisvalid AND x.indisready AND x.indimmediate,
  (SELECT string_agg(pg_get_indexdef(x.indexrelid, k, true), ', ' ORDER BY k)
    FROM generate_series(1, x.indnkeyatts) k)
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
LEFT JOIN pg_constraint u ON u.conindid = x.indexrelid AND u.contype = 'u'
WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind IN ('r', 'p')""",
}
_CHECKS: Final[dict[Kind, str]] = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'table'",
    "postgresql": """
SELECT t.relname::text, pg_get_constraintdef(n.oid)
FROM pg_constraint n JOIN pg_class t ON t.oid = n.conrelid
WHERE t.relnamespace = current_schema()::regnamespace AND n.contype IN ('c', 'f', 'x')""",
}
_CHECK: Final = re.compile(r"CHECK\s*\((.*?)\)+(?=\s*[,)]|\s*$|\s+NOT)", re.DOTALL)
_LATER: Final = {each.table for each in ADDITIONS}
"""What a store may not have yet: it is made when the store is opened."""
_TYPES: Final = {"bigint": "integer", "bytea": "blob"}
_NAMED: Final = {"pk": "primary key", "u": "unique"}


def check_shape(rows: Rows, kind: Kind, findings: Findings) -> None:
    """Each table has what it is made with, and nothing else; those of others aren't looked at."""
    found = _shapes(rows, kind)
    for table, wanted in sorted(_wanted(rows, kind).items()):
        if table not in found:
            if table not in _LATER:
                findings.add("tables", table, "Missing: this table isn't there.")
            continue
        for line in sorted(wanted - found[table]):
            findings.add("tables", table, f"Missing: {line}.")
        for line in sorted(found[table] - wanted):
            findings.add("tables", table, f"Too many: this release makes no {line} there.")


def _wanted(rows: Rows, kind: Kind) -> Shapes:
    """Of a store that is made now, with the live views as they are called in this one."""
    with scratch() as fresh:
        lay_out(fresh, "", generation=1)
        if kind == "postgresql":
            for addition in ADDITIONS:
                for statement in addition.on_postgresql:
                    fresh.define(statement)
        made = _shapes(fresh, "sqlite")
    live = {name: (version, build) for name, version, build in rows.fetch(_VIEWS)}
    names, others = [], set()
    for each in newest(PROJECTIONS):
        base, (version, build) = base_of(each.name, each.version), live.get(each.name, (None, None))
        if version == each.version and isinstance(build, int):
            names.append((base, table_of(each.name, each.version, build)))
        else:
            others.add(base)  # which is told as a finding of the views
    return {
        renamed(table, tuple(names)): {renamed(line, tuple(names)) for line in lines}
        for table, lines in made.items()
        if table not in others
    }


def _shapes(rows: Rows, kind: Kind) -> Shapes:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for table, line in (*_columns(rows, kind), *_indexes(rows, kind), *_checks(rows, kind)):
        if not table.startswith("sqlite_"):
            found[table].add(line)
    return found


def _columns(rows: Rows, kind: Kind) -> Iterator[tuple[str, str]]:
    for table, name, declared, filled in rows.fetch(_COLUMNS[kind]):
        text = str(declared).lower()
        line = f"column {name!s} {_TYPES.get(text, text)}"
        yield str(table), f"{line} not null" if filled else line


def _indexes(rows: Rows, kind: Kind) -> Iterator[tuple[str, str]]:
    for table, name, origin, unique, partial, enforced, columns in rows.fetch(_INDEXES[kind]):
        kept = f"({str(columns).replace(chr(34), '')})"
        line = f"{_NAMED[origin]} {kept}" if origin in _NAMED else f"index {name!s} {kept}"
        if unique and origin not in _NAMED:
            line = f"unique {line}"
        if partial:
            line += " of some rows"
        yield str(table), line if enforced else f"{line} that isn't enforced at once"


def _checks(rows: Rows, kind: Kind) -> Iterator[tuple[str, str]]:
    for table, text in rows.fetch(_CHECKS[kind]):
        checks = [str(text)] if kind == "postgresql" else _CHECK.findall(str(text))
        for each in checks:
            plain = re.sub(r"^CHECK|[()]", "", each).strip()
            yield str(table), f"constraint {' '.join(plain.split())}"
