"""What came into the store after the first stores were made, and how it gets into those.

Each addition is made once, under the append lock. It changes nothing that is there, so that an
older release goes on beside it and the format stays the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from app import buckets_postgres, hash_parameters, known_networks, probe, traces
from projections import live, rebuild_state, runner, token_lookup, user_directory
from projections.storage import Transaction


class Addition(NamedTuple):
    """Statements for both kinds of storage, and for PostgreSQL alone."""

    table: str
    """One that it makes: where that is, the addition was made."""
    statements: tuple[str, ...]
    on_postgresql: tuple[str, ...] = ()


ADDITIONS: Final = (
    Addition(
        "known_networks",
        (
            known_networks.CREATE,
            user_directory.CREATE_ADMINISTRATORS,
            token_lookup.CREATE_BY_END,
            token_lookup.DROP_BY_USER,
        ),
        (buckets_postgres.CREATE,),
    ),
    Addition("probe", (probe.CREATE,)),
    Addition(
        "rebuilds",
        (
            rebuild_state.CREATE_REBUILDS,
            rebuild_state.CREATE_BUILDS,
            live.ADD_BUILD,
            *rebuild_state.ADD_DIGEST,
            *runner.ADD_ERROR,
        ),
    ),
    Addition("unfinished_erasures", (traces.CREATE,)),
    Addition("hash_parameters", (hash_parameters.CREATE,)),
)


def add_missing(rows: Transaction) -> bool:
    """Make the additions that a store doesn't have; whether there were any."""
    missing = [each for each in ADDITIONS if not rows.has_table(each.table)]
    for each in missing:
        for statement in each.statements:
            rows.define(statement)
        if rows.kind == "postgresql":
            for statement in each.on_postgresql:
                rows.define(statement)
    return bool(missing)
