"""The ring of a running process: only keys that this service wrote are trusted."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from app.caller import system
from app.store import open_store, storage_of
from app.tokens.access_token import Claims, new_jti, sign
from app.tokens.key_ring import KeyRing
from app.tokens.signing import SigningKey
from app.vault import Vault
from app.writer import Wish, Writer
from domain.commands import RetireSigningKey, RotateSigningKey
from domain.errors import Damage, InvalidToken
from domain.policy import Policy
from tests.store.wishing import commit

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


def test_a_key_that_was_retired_long_ago_is_believed_no_more(tmp_path: Path) -> None:
    """Security rule 15: one that leaks then has nobody who could say so."""
    store = open_store(storage_of(f"sqlite:///{tmp_path}/g.db"), Vault(bytes(range(32))), "ES256")
    writer, now = Writer(store.log, store.vault, store.ring, Policy()), time.time_ns() // 1000
    first = KeyRing(store).signer(now)
    next_ = SigningKey.generate("ES256")
    wishes = [
        RotateSigningKey(next_.kid, "ES256", next_.verifying_key.members(), 0, at_once=False),
        RetireSigningKey(first.kid, 0),
    ]
    for each in wishes:
        commit(writer, [Wish(each, system())])
    ring = KeyRing(store)
    over = ring.known.keys[first.kid].published_until
    assert over is not None
    forged = sign(Claims("i", "uk_a", "a", 1, 2, new_jti(), "uk_a", "s", "ada", 1, ""), first)
    for _ in range(2):
        assert ring.verified(over - 1).genuine(forged, 0).sub == "uk_a"
    for _ in range(2):
        with pytest.raises(InvalidToken):
            ring.verified(over).genuine(forged, 0)
    store.storage.close()
