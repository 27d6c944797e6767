"""The ring of a running process: only keys that this service wrote are trusted."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from app.store import open_store, storage_of
from app.tokens.key_ring import KeyRing
from app.tokens.signing import SigningKey
from app.vault import Vault
from domain.errors import Damage

INSERT = "INSERT INTO events VALUES (?, 'signing_keys', 3, 'signing_key.added', 1, ?, ?, NULL, ?)"


def test_a_key_that_somebody_else_put_into_the_log_is_not_trusted(tmp_path: Path) -> None:
    """Security rule 20: who can write to the database can't make a token."""
    path = tmp_path / "gatebook.db"
    store = open_store(storage_of(f"sqlite:///{path}"), Vault(bytes(range(32))), "ES256")
    ours = KeyRing(store)
    assert len(ours.verifying) == 1
    theirs = SigningKey.generate("ES256")
    data = {
        "kid": theirs.kid,
        "algorithm": "ES256",
        "public_jwk": theirs.verifying_key.members(),
    }
    clear = {"v": 1, "actor": "system", "request_id": "0" * 32, "data": data}
    with sqlite3.connect(path) as intruder:
        (head,) = intruder.execute("SELECT max(position) FROM events").fetchone()
        row = (head + 1, time.time_ns() // 1000, msgspec.json.encode(clear), os.urandom(32))
        intruder.execute(INSERT, row)
    intruder.close()
    with pytest.raises(Damage, match=f"position {head + 1} "):
        KeyRing(store)
    store.storage.close()


def test_the_log_keeps_of_a_key_only_what_makes_it(tmp_path: Path) -> None:
    store = open_store(storage_of(f"sqlite:///{tmp_path}/g.db"), Vault(bytes(range(32))), "ES256")
    (key,) = KeyRing(store).published(time.time_ns() // 1000)
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    with store.storage.snapshot() as rows:
        (row,) = rows.fetch("SELECT clear FROM events WHERE topic = 'signing_key.added'")
    assert isinstance(row[0], bytes)
    stored = msgspec.json.decode(row[0])["data"]["public_jwk"]
    assert stored == {name: key[name] for name in ("kty", "crv", "x", "y")}
    store.storage.close()
