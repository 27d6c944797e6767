"""What a store holds after everything that befell it, compared with what was acknowledged.

Opens the store as the product does, reads the whole log, and folds it anew. Knows no server.
"""

from __future__ import annotations

import re
import secrets
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from app.caller import command_line
from app.eventstore.log import read_head, read_range
from app.store import Store, open_store, storage_of
from app.vault import PERSON, PERSON_KEYS, Vault, Wrapped, name_mac, open_sealed
from app.verifying.store import verify_store
from app.writer import Wish, Writer
from domain import events
from domain.commands import GrantPermissions
from domain.errors import Damage
from domain.policy import Policy
from domain.sealed import sealed
from domain.stream import Recorded
from domain.user_id import prepare
from projections.live import read_live, read_pointers
from projections.registry import PROJECTIONS
from projections.storage import Row, Rows
from projections.storage_sqlite import SqliteStorage
from tests.prove.changes import change_of
from tests.running import MASTER
from tests.store.chain import verify_chain
from tests.store.intruding import SQLITE, intrude, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.prove.load import Ledger
    from tests.prove.tally import Tally

TABLE: Final = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)")
INLINE = tuple(each for each in PROJECTIONS if each.mode == "inline")
_ALL: Final = 10**9
_KEYS_OF_ONE: Final = """
SELECT * FROM user_keys
WHERE user_key = (SELECT min(user_key) FROM user_keys WHERE version >= 0)"""
"""Of one who isn't erased: nobody misses what is left of a key that was overwritten."""


class Stored(msgspec.Struct, frozen=True):
    """What the log says happened."""

    names: dict[str, list[str]]
    """Every name as typed, with the user_keys that were registered under it."""
    sessions: Counter[str]
    """How often each session was started."""
    ended: set[str]
    logins: Counter[str]
    """Sessions started, by user_key."""
    nameless: set[str]
    """User_keys whose names nobody can read any more."""
    changes: Counter[str]
    """How often each change was made that a ledger may have."""


def an_empty(url: str, label: str) -> str:
    """A store that isn't there: another file, or the same database with nothing in it."""
    if url.startswith(SQLITE):
        return url.replace(".db", f"-{label}.db")
    with intrude(url) as intruder:
        intruder.run("DROP SCHEMA public CASCADE")
        intruder.run("CREATE SCHEMA public")
    return url


@contextmanager
def another(url: str) -> Iterator[str]:
    """An empty database of PostgreSQL beside this one, gone afterwards."""
    name = f"beside_{secrets.token_hex(8)}"
    with intrude(url) as intruder:
        intruder.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        with intrude(url) as intruder:
            intruder.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """The store, beside whoever else has it open."""
    store = open_store(storage_of(url), Vault(MASTER), "ES256", views=False)
    try:
        yield store
    finally:
        store.storage.close()


def check_store(url: str, ledger: Ledger, tally: Tally) -> None:
    """The log is whole, the views are its fold, and everything acknowledged is there once.

    And `audit verify` finds nothing: no key is missing, and no row is beside what the log says.
    """
    with opened(url) as store, store.storage.snapshot() as rows:
        log = _check_whole(store, rows, tally)
        if not log:
            return
        stored = _read(store, rows, log)
        macs = {name_mac(store.ring, prepare(name)): keys[0] for name, keys in stored.names.items()}
        found = {row[0]: row[1] for row in rows.fetch("SELECT name_mac, user_key FROM user_ids")}
        tally.expect(found == macs, f"{len(found)} reserved names, {len(macs)} registered ones")
    judge(ledger, stored, tally)
    _verify(url, tally)


def check_log(url: str, tally: Tally) -> list[Recorded]:
    """The log, which is whole, and whose fold the views are."""
    with opened(url) as store, store.storage.snapshot() as rows:
        return _check_whole(store, rows, tally)


def by_session(log: Iterable[Recorded]) -> dict[str, list[Recorded]]:
    """What happened to each session, in order."""
    found: dict[str, list[Recorded]] = {}
    for recorded in log:
        session_id = getattr(recorded.event, "session_id", None)
        if session_id is not None:
            found.setdefault(session_id, []).append(recorded)
    return found


def grant(url: str, user_key: str, *permissions: str) -> None:
    """Give a user permissions as an operator does, beside whoever serves the store."""
    with opened(url) as store:
        writer = Writer(store.log, store.vault, store.ring, Policy())
        wish = Wish(GrantPermissions(user_key, permissions), command_line())
        (answer,) = writer.commit([wish])
    if isinstance(answer, Exception):
        raise answer


def judge(ledger: Ledger, stored: Stored, tally: Tally) -> None:
    """Everything acknowledged is stored, once, and nothing is stored more often than asked."""
    for name, user_key in ledger.registered.items():
        erased = user_key in stored.nameless and ledger.asked[f"erased {user_key}"]
        there = user_key in stored.names.get(name, []) or erased
        tally.expect(bool(there), f"lost: the registration of {name}")
    for name, user_keys in stored.names.items():
        tally.expect(len(user_keys) == 1, f"doubled: {name} is {user_keys}")
        tally.expect(name in ledger.names, f"made up: {name} was never sent")
    for session_id in [*ledger.sessions, *ledger.ended]:
        tally.expect(stored.sessions[session_id] == 1, f"lost: the session {session_id}")
    for session_id, times in stored.sessions.items():
        tally.expect(times == 1, f"doubled: the session {session_id} was started {times} times")
    for session_id in ledger.ended:
        tally.expect(session_id in stored.ended, f"lost: the end of session {session_id}")
    for user_key, times in stored.logins.items():
        asked = ledger.logins[user_key]
        tally.expect(times <= asked, f"doubled: {user_key} asked {asked} times, {times} sessions")
    for change in ledger.changes:
        tally.expect(stored.changes[change] > 0, f"lost: the change: {change}")
    for change in ledger.asked:
        times = stored.changes[change]
        tally.expect(times <= 1, f"doubled: the change: {change}, {times} times")


def lose_the_last_registration(url: str, ledger: Ledger, tally: Tally) -> None:
    """The controls: cut the log before the last acknowledged registration, and look again.

    Before that, somebody's keys are taken away, and given back.
    """
    keyless = type(tally)()
    with opened(url) as store:
        with store.storage.transaction() as rows:
            keys = rows.fetch(_KEYS_OF_ONE)
            rows.execute("DELETE FROM user_keys WHERE user_key = ?", keys[0][:1])
            rows.commit()
        _verify(url, keyless)
        with store.storage.transaction() as rows:
            for key in keys:
                rows.execute(f"INSERT INTO user_keys VALUES ({', '.join('?' * len(key))})", key)
            rows.commit()
    tally.control("a key that is missing", noticed=keyless.violations > 0)
    last = list(ledger.registered.values())[-1]
    with opened(url) as store, store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        rows.execute(
            "DELETE FROM events WHERE position >= (SELECT position FROM events "
            "WHERE stream = ? AND version = 1)",
            (last,),
        )
        rows.commit()
    second = type(tally)()
    check_store(url, ledger, second)
    lost = any(each.startswith("lost: the registration") for each in second.first)
    views = any(each.startswith("view ") for each in second.first)
    tally.control("a lost registration", noticed=lost)
    tally.control("views that are not the log's", noticed=views)


def _verify(url: str, tally: Tally) -> None:
    with opened(url) as store, store.storage.snapshot() as rows:
        found = verify_store(rows, Vault(MASTER), None, lambda _: None, store.storage.kind)
    for each in found.findings:
        tally.wrong(f"found: {each}")


def _check_whole(store: Store, rows: Rows, tally: Tally) -> list[Recorded]:
    # PostgreSQL lets a transaction wait as long as it likes once it has scanned something.
    for _ in rows.scan("SELECT 1"):
        pass
    try:
        head = verify_chain(rows, store.ring.log)
    except Damage as error:
        tally.wrong(f"the log is damaged: {error}")
        return []
    tally.expect(head == read_head(rows).position, "the head is not where the chain ends")
    log = [record.recorded() for record in read_range(rows, 0, _ALL)]
    tally.count("events", len(log))
    pointers = read_pointers(rows)
    for each in INLINE:
        position = pointers[each.name].position
        tally.expect(position == head, f"view {each.name} is at {position}/{head}")
    _compare_views(read_live(rows, PROJECTIONS).rows(rows), log, tally)
    return log


def _compare_views(rows: Rows, log: Sequence[Recorded], tally: Tally) -> None:
    with tempfile.TemporaryDirectory() as directory:
        scratch = SqliteStorage(Path(directory) / "scratch.db")
        scratch.prepare()
        with scratch.transaction() as fresh:
            for projection in INLINE:
                for statement in projection.tables:
                    fresh.define(statement)
                projection.apply(fresh, [e for e in log if type(e.event) in projection.wants])
                for table in TABLE.findall("".join(projection.tables)):
                    right, there = _rows(fresh, table), _rows(rows, table)
                    tally.expect(
                        there == right,
                        f"view {table} has {len(there - right)} rows that the log doesn't give, "
                        f"and lacks {len(right - there)}",
                    )
        scratch.close()


def _rows(rows: Rows, table: str) -> set[Row]:
    return set(rows.fetch(f"SELECT * FROM {table}"))


def _read(store: Store, rows: Rows, log: Sequence[Recorded]) -> Stored:
    wrapped = {
        str(key): Wrapped(str(master_id), blob)
        for key, master_id, blob in rows.fetch(PERSON_KEYS.partition(" AND ")[0])
        if isinstance(blob, bytes)
    }
    stored = Stored({}, Counter(), set(), Counter(), set(), Counter())
    for each in log:
        if change := change_of(each):
            stored.changes[change] += 1
        match each.event:
            case events.UserRegistered() if each.stream not in wrapped:
                stored.nameless.add(each.stream)
            case events.UserRegistered(user_id):
                key = store.vault.unwrap_user_key(each.stream, PERSON, wrapped[each.stream])
                name = open_sealed(key, sealed(user_id), each.stream, "user_id")
                stored.names.setdefault(name, []).append(each.stream)
            case events.UserLoggedIn(session_id):
                stored.sessions[session_id] += 1
                stored.logins[each.stream] += 1
            case events.RefreshTokenRevoked(session_id):
                stored.ended.add(session_id)
    return stored
