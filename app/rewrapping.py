"""Changing the master key: every wrapped key again, under the new one.

In batches, each a transaction of its own, so that a running service hardly notices; broken off it
goes on where keys are left under the old one. Never touches the log. Knows no command line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from app.eventstore.schema import RAISE_GENERATION
from app.vault import (
    KEYS_LEFT,
    RING_KEYS,
    USER_KEYS_AFTER,
    WRAP_RING_KEY,
    WRAP_USER_KEY,
    Vault,
    Wrapped,
)
from domain.errors import Damage
from projections.storage import Storage, Transaction

BATCH: Final = 500


def rewrap(storage: Storage, vault: Vault, done: Callable[[int], None]) -> int:
    """How many keys were wrapped anew; `done` hears of them batch by batch.

    The vault's master key is the new one, its previous one the old. Raises `Damage` for a key
    that neither opens, and when any came under another one meanwhile: whoever wraps with that one
    would go on, so it is told rather than mended.
    """
    with storage.transaction() as rows:
        count = _rewrap_ring(rows, vault)
        if count:
            rows.execute(RAISE_GENERATION)
            rows.commit()
    done(count)
    after: tuple[str, int] | None = ("", -1)
    while after is not None:
        with storage.transaction() as rows:
            wrapped, after = _rewrap_batch(rows, vault, after)
            if wrapped:
                rows.commit()
        count += wrapped
        done(wrapped)
    with storage.snapshot() as found:
        left = int(found.fetch(KEYS_LEFT, (vault.master_id, vault.master_id))[0][0] or 0)
    if left:
        msg = (
            f"Keys that came under another master key meanwhile: {left}. A process still wraps "
            "with that one: set its GATEBOOK_MASTER_KEY to the new one, and run this again."
        )
        raise Damage(msg)
    return count


def _rewrap_ring(rows: Transaction, vault: Vault) -> int:
    old = [row for row in rows.fetch(RING_KEYS) if row[1] != vault.master_id]
    for name, master_id, blob in old:
        key = vault.unwrap_ring_key(str(name), Wrapped.of(master_id, blob))
        _, new_id, new_blob = vault.new_ring_key(str(name), key)
        rows.execute(WRAP_RING_KEY, (new_id, new_blob, name))
    return len(old)


def _rewrap_batch(
    rows: Transaction, vault: Vault, after: tuple[str, int]
) -> tuple[int, tuple[str, int] | None]:
    """How many of the next keys were wrapped anew, and after which one the others come."""
    found = rows.fetch(USER_KEYS_AFTER, (*after, BATCH))
    old = [row for row in found if row[2] != vault.master_id]
    for user_key, version, master_id, blob in old:
        old_one = Wrapped.of(master_id, blob)
        wrapped = vault.rewrap_user_key(str(user_key), int(version or 0), old_one)
        rows.execute(WRAP_USER_KEY, (*wrapped, user_key, version))
    if len(found) < BATCH:
        return len(old), None
    last = found[-1]
    return len(old), (str(last[0]), int(last[1] or 0))
