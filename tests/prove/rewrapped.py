"""The master key is changed under load, killed on the way and begun again: no request fails.

Afterwards the old master key opens nothing: no wrapped key, no store; and on SQLite no byte of what
it had wrapped is in any file.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.rewrapping import BATCH
from app.store import UnusableStore, open_store, storage_of
from app.vault import RING_KEYS, WRAP_USER_KEY, Vault, Wrapped
from app.writer import Writer
from domain.errors import Damage
from domain.policy import Policy
from tests.prove.load import Ledger, check_tokens, working
from tests.prove.stored import check_store, opened
from tests.prove.tally import Tally
from tests.running import running, running_all, settings
from tests.store.wishing import commit, register

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from projections.storage import Rows

    Kept = tuple[str, int, Wrapped]

PROPERTY: Final = (
    "a changed master key: no request fails, killed and gone on with, the old one dead"
)
SIZE: Final = 20
STEP: Final = 10
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
KEYS_A_KILL: Final = 2 * BATCH
"""So that there is something left to do, however often it is killed."""

_OLD: Final = bytes(range(1, 33))
_ROOT: Final = Path(__file__).parent.parent.parent
_USER_KEYS: Final = "SELECT user_key, version, master_id, wrapped FROM user_keys"


def prove(url: str, count: int) -> Tally:
    """Change the master key of one store, and kill what does it `count` times."""
    tally, ledger = Tally(), Ledger()
    old = _filled(url, count, ledger)
    encoded = base64.b64encode(_OLD).decode()
    given = settings(url, MASTER_KEY_PREVIOUS=encoded)
    with running_all(*[given] * (2 if url.startswith("postgresql") else 1)) as servers:
        ports = [each.port for each in servers]
        asyncio.run(_rewrap(given, ports, count, ledger, tally))
        for server in servers:
            tally.expect(server.stop() == 0, "a server did not stop in order")
    with running(settings(url)) as server:
        everything = [*ledger.sessions, *ledger.ended]
        asyncio.run(check_tokens(server.port, ledger, everything, tally))
        tally.expect(server.stop() == 0, "the last server did not stop in order")
    _judge(ledger, tally)
    check_store(url, ledger, tally)
    _check_old(url, old, tally)
    tally.control("a key left under the old one", noticed=_is_one_left_noticed(url, old[0]))
    return tally


def _filled(url: str, count: int, ledger: Ledger) -> list[Kept]:
    """Make a store under the old master key; the keys that it wraps."""
    store = open_store(storage_of(url), Vault(_OLD), "ES256")
    people = [f"keeper-{number}" for number in range((count + 1) * KEYS_A_KILL // 2)]
    ledger.names.update(people)
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register(each) for each in people])
    with store.storage.snapshot() as rows:
        kept = _kept(rows)
    store.storage.close()
    return kept


def _kept(rows: Rows) -> list[Kept]:
    found = []
    for user_key, version, master_id, blob in rows.fetch(_USER_KEYS):
        assert isinstance(version, int)
        assert isinstance(blob, bytes)
        found.append((str(user_key), version, Wrapped(str(master_id), blob)))
    return found


async def _rewrap(
    given: Mapping[str, str], ports: Sequence[int], count: int, ledger: Ledger, tally: Tally
) -> None:
    """Under load: killed after a batch, over and over, and then to the end."""
    async with working(ports, ledger):
        for _ in range(count):
            killed = await asyncio.to_thread(_begin_and_kill, given)
            tally.expect(killed, "everything was wrapped before the kill")
            tally.tried += 1
        code = await asyncio.to_thread(_finish, given)
        tally.expect(code == 0, f"keys rewrap ended with {code}")


def _begin_and_kill(given: Mapping[str, str]) -> bool:
    """Kill it once it has told of a batch; whether it was at work then."""
    with _rewrapping(given) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        process.kill()
    return told.startswith(b"Keys wrapped anew") and process.wait() < 0


def _finish(given: Mapping[str, str]) -> int:
    with _rewrapping(given) as process:
        process.communicate()
    return process.wait()


def _rewrapping(given: Mapping[str, str]) -> subprocess.Popen[bytes]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("GATEBOOK_")}
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "keys", "rewrap"],
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


def _check_old(url: str, old: Sequence[Kept], tally: Tally) -> None:
    """The old master key opens no store, none of its keys; what it wrapped is in no file."""
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
    tally.count("keys wrapped anew", len(old))
    path = Path(url.removeprefix("sqlite:///"))
    for file in path.parent.glob(f"{path.name}*") if url.startswith("sqlite") else ():
        content = file.read_bytes()
        found = sum(wrapped.blob in content for _, _, wrapped in old[:: len(old) // 200 + 1])
        tally.expect(found == 0, f"{file.name} holds {found} keys wrapped under the old one")


def _left(url: str) -> list[str]:
    """The keys that the old master key opens, whatever is written beside them."""
    vault, found = Vault(_OLD), []
    with opened(url) as store, store.storage.snapshot() as rows:
        for user_key, version, wrapped in _kept(rows):
            try:
                vault.unwrap_user_key(
                    user_key, version, wrapped._replace(master_id=vault.master_id)
                )
            except Damage:
                continue
            found.append(f"{user_key} {version}")
        for name, _, blob in rows.fetch(RING_KEYS):
            assert isinstance(blob, bytes)
            try:
                vault.unwrap_ring_key(str(name), Wrapped(vault.master_id, blob))
            except Damage:
                continue
            found.append(str(name))
    return found


def _is_one_left_noticed(url: str, kept: Kept) -> bool:
    user_key, version, wrapped = kept
    with opened(url) as store, store.storage.transaction() as rows:
        rows.execute(WRAP_USER_KEY, (*wrapped, user_key, version))
        rows.commit()
    return _left(url) == [f"{user_key} {version}"]
