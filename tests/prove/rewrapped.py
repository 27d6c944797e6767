"""The master key is changed under load, killed on the way and begun again: no request fails.

As the how-to says: on PostgreSQL the processes are restarted one after another, so that in each
step some have taken it and some have not; meanwhile signing keys change. Afterwards the old master
key opens nothing: no wrapped key, no store; and on SQLite no byte of what it had wrapped is in any
file.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from app.rewrapping import BATCH
from app.store import UnusableStore, open_store, storage_of
from app.vault import RING_KEYS, WRAP_RING_KEY, WRAP_USER_KEY, Vault, Wrapped
from app.writer import Writer
from domain.errors import Damage
from domain.policy import Policy
from tests.prove.client import Client
from tests.prove.fleet import Fleet, working
from tests.prove.load import Ledger, check_tokens
from tests.prove.stored import check_store
from tests.prove.tally import Tally
from tests.running import MASTER, settings
from tests.store.wishing import commit, register

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from projections.storage import Rows

PROPERTY: Final = (
    "a changed master key: no request fails, killed and gone on with, the old one dead"
)
SIZE: Final = 20
OF: Final = "kills"
STEP: Final = 10
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
KEYS_A_KILL: Final = 2 * BATCH
"""So that there is something left to do, however often it is killed."""

_OLD: Final = bytes(range(1, 33))
_OTHER: Final = bytes(range(2, 34))
_ROOT: Final = Path(__file__).parent.parent.parent
_USER_KEYS: Final = "SELECT user_key, version, master_id, wrapped FROM user_keys WHERE version >= 0"


class UserKey(NamedTuple):
    """A row of `user_keys`."""

    user_key: str
    version: int
    wrapped: Wrapped


class Kept(NamedTuple):
    """Every key of a store, as it is wrapped."""

    ring: list[tuple[str, Wrapped]]
    users: list[UserKey]

    @property
    def blobs(self) -> set[bytes]:
        """All of the ring, and some two hundred of the users'."""
        some = self.users[:: len(self.users) // 200 + 1]
        return {wrapped.blob for *_, wrapped in [*self.ring, *some]}


def prove(url: str, count: int) -> Tally:
    """Change the master key of one store, and kill what does it `count` times."""
    tally = Tally()
    old = _filled(url, (count + 1) * KEYS_A_KILL)
    on_sqlite = url.startswith("sqlite")
    if on_sqlite:
        found = set().union(*_in_files(url, old.blobs).values())
        tally.control("what the old one wrapped, in a file", noticed=found == old.blobs)
    asyncio.run(_change(url, count, old, tally))
    if on_sqlite:
        for name, found in _in_files(url, old.blobs).items():
            tally.expect(not found, f"{name} holds {len(found)} keys wrapped under the old one")
    tally.control("keys left under the old one", noticed=_is_one_left_noticed(url, old))
    return tally


def _given(url: str, master: bytes, previous: bytes | None = None) -> dict[str, str]:
    """What a process is told; a signing key waits two seconds."""
    keys = {"MASTER_KEY": master} | ({"MASTER_KEY_PREVIOUS": previous} if previous else {})
    encoded = {name: base64.b64encode(key).decode() for name, key in keys.items()}
    return settings(url, **encoded, JWKS_MAX_AGE="1")


def _keepers(number: int) -> list[str]:
    """Whose keys fill a store: two each."""
    return [f"keeper-{each}" for each in range(number // 2)]


def _filled(url: str, keys: int) -> Kept:
    """Make a store under the old master key; the keys that it wraps."""
    store = open_store(storage_of(url), Vault(_OLD), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register(each) for each in _keepers(keys)])
    with store.storage.snapshot() as rows:
        kept = _kept(rows)
    store.storage.close()
    return kept


def _kept(rows: Rows) -> Kept:
    ring = [(str(name), Wrapped.of(*wrapped)) for name, *wrapped in rows.fetch(RING_KEYS)]
    users = [
        UserKey(str(user_key), int(version or 0), Wrapped.of(*wrapped))
        for user_key, version, *wrapped in rows.fetch(_USER_KEYS)
    ]
    return Kept(ring, users)


async def _change(url: str, count: int, old: Kept, tally: Tally) -> None:
    """Every step, under load; then what it left is looked at, with the new key alone."""
    fleet, ledger = Fleet(tally), Ledger()
    ledger.names.update(_keepers(len(old.users)))
    several = url.startswith("postgresql")
    async with fleet.running(_given(url, _OLD), 2 if several else 1):
        async with working(fleet, ledger):
            await fleet.work()
            if several:
                await fleet.restart(_given(url, _OLD, MASTER))
            await fleet.restart(_given(url, MASTER, _OLD))
            kids = await _rewrap(_given(url, MASTER, _OLD), count, tally)
            # Beside one that knows both; the other one would only come beside its like.
            await fleet.restart_one(_given(url, MASTER))
        port = fleet.newest.port
        await check_tokens(port, ledger, [*ledger.sessions, *ledger.ended], tally)
        published = await _published(port)
        tally.expect(kids <= published, f"no longer published: {kids - published}")
        _judge(ledger, tally)
        check_store(url, ledger, tally)
        _check_old(url, old, tally)
        if several:
            noticed = await _is_a_step_left_out_noticed(fleet, _given(url, _OTHER, MASTER))
            tally.control("a process that doesn't know the new one", noticed=noticed)


async def _rewrap(given: Mapping[str, str], count: int, tally: Tally) -> set[str]:
    """Killed after a batch, over and over, and then to the end; the signing keys made meanwhile."""
    kids = set()
    for _ in range(count):
        killed, kid = await asyncio.gather(
            asyncio.to_thread(_begin_and_kill, given), asyncio.to_thread(_rotate, given)
        )
        tally.expect(killed, "everything was wrapped before the kill")
        tally.tried += 1
        kids.add(kid)
    code = await asyncio.to_thread(_finish, given)
    tally.expect(code == 0, f"keys rewrap ended with {code}")
    kids.discard("")
    tally.expect(bool(kids), "no signing key was made meanwhile")
    tally.count("signing keys made meanwhile", len(kids))
    return kids


def _begin_and_kill(given: Mapping[str, str]) -> bool:
    """Kill it once it has told of a batch; whether it was at work then."""
    with _keys("rewrap", given) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        process.kill()
    return told.startswith(b"Keys wrapped anew") and process.wait() < 0


def _finish(given: Mapping[str, str]) -> int:
    with _keys("rewrap", given) as process:
        process.communicate()
    return process.wait()


def _rotate(given: Mapping[str, str]) -> str:
    """The new signing key; the empty text when one still waits to sign."""
    with _keys("rotate", given) as process:
        _, said = process.communicate()
    words = said.decode().split()
    assert process.wait() == 0, said
    return words[2] if words[:2] == ["The", "key"] else ""


async def _published(port: int) -> set[str]:
    async with Client(port) as client:
        answer = await client.get("/.well-known/jwks.json")
    return {key["kid"] for key in answer.json["keys"]}


def _keys(command: str, given: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "keys", command],
        env={**environ, **given},
        cwd=_ROOT,
        stderr=subprocess.PIPE,
    )


def _judge(ledger: Ledger, tally: Tally) -> None:
    for each in ledger.unexpected:
        tally.wrong(each)
    for each, number in ledger.answers.items():
        tally.count("requests", number)
        tally.expect(not each.endswith(" 503"), f"{number} answers: {each}")
    tally.expect(ledger.cut == 0, f"{ledger.cut} connections were cut")
    ledger.report(tally)


def _check_old(url: str, old: Kept, tally: Tally) -> None:
    """The old master key opens no store, and none of its keys."""
    storage = storage_of(url)
    try:
        open_store(storage, Vault(_OLD), "ES256")
        tally.wrong("the old master key opens the store")
    except UnusableStore:
        tally.count("stores refused to the old key")
    finally:
        storage.close()
    left = _left(url)
    tally.expect(not left, f"{len(left)} keys open under the old one: {left[:3]}")
    tally.count("keys wrapped anew", len(old.ring) + len(old.users))


def _in_files(url: str, blobs: Collection[bytes]) -> dict[str, set[bytes]]:
    """Which of these are in each file of a SQLite database."""
    path = Path(url.removeprefix("sqlite:///"))
    contents = {file.name: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    return {name: {blob for blob in blobs if blob in content} for name, content in contents.items()}


def _left(url: str) -> list[str]:
    """The keys that the old master key opens, whatever is written beside them."""
    vault = Vault(_OLD)
    with closing(storage_of(url)) as storage, storage.snapshot() as rows:
        kept = _kept(rows)
    found = []
    for name, wrapped in kept.ring:
        with suppress(Damage):
            vault.unwrap_ring_key(name, wrapped._replace(master_id=vault.master_id))
            found.append(name)
    for user_key, version, wrapped in kept.users:
        with suppress(Damage):
            vault.unwrap_user_key(user_key, version, wrapped._replace(master_id=vault.master_id))
            found.append(f"{user_key} {version}")
    return found


async def _is_a_step_left_out_noticed(fleet: Fleet, given: Mapping[str, str]) -> bool:
    """A process wraps with a key that the one beside it was never told."""
    ledger = Ledger()
    async with working(fleet, ledger):
        await fleet.restart_one(given)
    return any(each.endswith(" 500") for each in ledger.answers)


def _is_one_left_noticed(url: str, old: Kept) -> bool:
    """One of each kind is put back."""
    (name, of_ring), (user_key, version, of_user) = old.ring[0], old.users[0]
    with closing(storage_of(url)) as storage, storage.transaction() as rows:
        rows.execute(WRAP_RING_KEY, (*of_ring, name))
        rows.execute(WRAP_USER_KEY, (*of_user, user_key, version))
        rows.commit()
    return _left(url) == [name, f"{user_key} {version}"]
