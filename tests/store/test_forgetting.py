"""A key that is forgotten is in no byte of SQLite's file, however its neighbours come and go.

`secure_delete` overwrites what is deleted, and not what SQLite has copied from page to page.
"""

from __future__ import annotations

import random
import secrets
import sqlite3
from typing import TYPE_CHECKING, Final

from app.vault import (
    ADD_USER_KEY,
    FORGET_OLD_CREDENTIALS,
    FORGET_PERSON_KEYS,
    PERSON,
    TABLES,
    MasterKey,
)
from tests.store.wishing import user_key

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE: Final = 250
CHANGING: Final = 4
"""One of so many changes the secret."""
STAYING: Final = 6
TIMES: Final = 10
CONTROLS: Final = 80
"""Tries of a plain deletion; one of about seven leaves something."""
DELETE_OLD: Final = "DELETE FROM user_keys WHERE user_key = ? AND version > 0 AND version < ?"
DELETE: Final = "DELETE FROM user_keys WHERE user_key = ?"
MASTER: Final = MasterKey(bytes(32))


def left(path: Path, seed: int, old: str, everything: str) -> int:
    """How many keys are left in the file of people who came, changed and went nearly in order."""
    order = random.Random(seed)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "secure_delete=ON", "synchronous=OFF"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    for table in TABLES:
        connection.execute(table)
    people = [user_key(f"person {number}") for number in range(PEOPLE)]
    coming = [(float(number), each, 1) for number, each in enumerate(people)]
    coming += [
        (number * CHANGING + order.uniform(0.5, 4), each, order.randrange(3, 9))
        for number, each in enumerate(people[::CHANGING])
    ]
    kept: dict[tuple[str, int], bytes] = {}

    def keep(who: str, version: int) -> None:
        kept[who, version] = MASTER.wrap(f"{who} {version}", secrets.token_bytes(32)).blob
        connection.execute(ADD_USER_KEY, (who, version, MASTER.id, kept[who, version]))

    for _, who, version in sorted(coming):
        if version == 1:
            keep(who, PERSON)
        keep(who, version)
        connection.execute(old, (who, version))
    going = sorted((number + order.uniform(0, 4), who) for number, who in enumerate(people))
    for _, who in going:
        if order.random() * STAYING >= 1:
            connection.execute(everything, (who,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    there = connection.execute("SELECT user_key, version FROM user_keys WHERE version >= 0")
    live = set(there.fetchall())
    connection.close()
    content = path.read_bytes()
    assert live
    assert all(kept[each] in content for each in live)
    return sum(blob in content for each, blob in kept.items() if each not in live)


def test_a_key_that_is_forgotten_is_in_no_byte_of_the_file(tmp_path: Path) -> None:
    """Security rule 20."""
    for seed in range(TIMES):
        path = tmp_path / f"{seed}.db"
        assert left(path, seed, FORGET_OLD_CREDENTIALS, FORGET_PERSON_KEYS) == 0


def test_a_key_that_is_deleted_may_stay(tmp_path: Path) -> None:
    """Which is why it is overwritten where it lies."""
    assert any(left(tmp_path / f"{seed}.db", seed, DELETE_OLD, DELETE) for seed in range(CONTROLS))
