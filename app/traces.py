"""What is kept of a person beside the log, and how it goes in the commit that erases the person.

The log and the views stay as they are: what they hold sealed opens with none of the keys that are
left. Whoever adds a table that is keyed by a person adds it here. Knows no rule.
"""

from __future__ import annotations

from typing import Final

from app.buckets_postgres import FORGET_BUDGETS, row_name
from app.eventstore.schema import RAISE_GENERATION
from app.eventstore.snapshot import DROP_SNAPSHOT
from app.known_networks import FORGET_NETWORKS, NETWORKS_OF
from app.throttle import account_claims
from app.vault import FORGET_PERSON_KEYS, FREE_NAME
from projections.storage import Rows, Statement

CREATE: Final = """
CREATE TABLE unfinished_erasures (
  user_key TEXT PRIMARY KEY,
  erased_at BIGINT NOT NULL
)"""
"""Who was erased while bytes of the person are still in a file; µs. Always empty on PostgreSQL,
where an erasure is finished with its commit."""
UNFINISHED: Final = "SELECT user_key, erased_at FROM unfinished_erasures ORDER BY erased_at"
FINISH: Final = "DELETE FROM unfinished_erasures WHERE erased_at <= ?"
"""An erasure that is committed later has a later time."""
_UNFINISHED: Final = "INSERT INTO unfinished_erasures (user_key, erased_at) VALUES (?, ?)"


def forget(rows: Rows, network_key: bytes, user_key: str, now: int) -> tuple[Statement, ...]:
    """What removes a person, in the transaction that `rows` are of; `now` in µs.

    `network_key` is the ring's, which names the rows of budgets too. Every process forgets what it
    remembers when it meets the raised generation.
    """
    own = (user_key,)
    statements: tuple[Statement, ...] = (
        (FORGET_PERSON_KEYS, own),
        (FREE_NAME, own),
        (DROP_SNAPSHOT, own),
        (FORGET_NETWORKS, own),
        (RAISE_GENERATION, ()),
    )
    if rows.kind == "sqlite":
        return (*statements, (_UNFINISHED, (user_key, now)))
    networks = [bytes(mac).hex() for (mac,) in rows.fetch(NETWORKS_OF, own)]  # type: ignore[arg-type]
    names = [row_name(network_key, claim) for claim in account_claims(user_key, networks)]
    return (*statements, (FORGET_BUDGETS % ", ".join("?" * len(names)), names))
