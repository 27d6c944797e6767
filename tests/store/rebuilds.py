"""What tests of rebuilding and following share: views of their own, and storages that die."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from app.eventstore.feed import LogFeed
from app.eventstore.log import read_range
from app.eventstore.schema import RAISE_GENERATION
from domain import events
from projections.leftovers import sweep
from projections.live import read_pointers
from projections.rebuild import Rebuild
from projections.rebuild_state import LEASE, read_state
from projections.registry import PROJECTIONS
from tests.projections.history import whole
from tests.store.wishing import user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from app.store import Store
    from domain.stream import Recorded
    from projections.projection import Mode, Projection
    from projections.rebuild_state import State
    from projections.runner import Chunk, Feed
    from projections.storage import Row, Rows, Storage, Transaction


class Broken(Exception):
    """The process died here."""


def rebuild_of(
    store: Store,
    holder: str = "me",
    *,
    kept: Sequence[Projection] = PROJECTIONS,
    storage: object | None = None,
    feed: Feed | None = None,
    span: int = 1000,
    told: Callable[[State, int], None] = lambda *_: None,
    monotonic: Callable[[], float] = time.monotonic,
) -> Rebuild:
    return Rebuild(
        storage or store.storage,  # type: ignore[arg-type]
        feed or LogFeed(),
        kept,
        lambda rows: rows.execute(RAISE_GENERATION),
        holder,
        told=told,
        pause=lambda _: None,
        monotonic=monotonic,
        span=span,
    )


def rebuilt(store: Store, name: str, *, accept: bool = False) -> object:
    rebuild = rebuild_of(store)
    outcome = rebuild.run(rebuild.begin(name, accept=accept))
    sweep(store.storage, PROJECTIONS)
    return outcome


def view(store: Store, name: str) -> list[Row]:
    with store.snapshot() as rows:
        return whole(rows, name)


def build_of(store: Store, name: str) -> int:
    with store.storage.snapshot() as rows:
        return read_pointers(rows)[name].build


def tables(store: Store, name: str) -> list[str]:
    """Which of a view's tables are in the store, of its first builds."""
    known = [f"{name}_v1", *(f"{name}_r{build}_v1" for build in range(1, 9))]
    with store.storage.transaction() as rows:
        return [each for each in known if rows.has_table(each)]


def expire(store: Store) -> None:
    """Nobody has given a sign of life for long."""
    with store.storage.transaction() as rows:
        rows.execute("UPDATE rebuilds SET lease_until = ?", (rows.clock() - LEASE,))
        rows.commit()


def history(store: Store) -> list[Recorded]:
    with store.storage.snapshot() as rows:
        return [record.recorded() for record in read_range(rows, 0, 1000)]


def write_as_a_newer_release(store: Store) -> int:
    """An event of a type that this one doesn't know, with the inline views; its position."""
    with store.log.append() as append:
        last = read_range(append.rows, append.head.position - 1, 1)[0]
        position = last.position + 1
        last = last._replace(stream=user_key("eve"), version=1, topic="user.renamed")
        append.write([last._replace(position=position, time=append.now())])
        sql = "UPDATE views SET position = ? WHERE name <> 'daily_activity'"
        append.rows.execute(sql, (position,))
        append.rows.commit()
    return position


def is_login_of(recorded: Recorded, who: str) -> bool:
    return isinstance(recorded.event, events.UserLoggedIn) and recorded.stream == user_key(who)


class LoginCount:
    """A view of a test: how many logins each user had."""

    name = "login_count"
    version = 1
    mode: Mode = "inline"
    wants: frozenset[type[events.Event]] = frozenset({events.UserLoggedIn})
    tables: tuple[str, ...] = (
        "CREATE TABLE login_count_v1 (user_key TEXT PRIMARY KEY, logins BIGINT NOT NULL)",
    )

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            rows.execute(
                "INSERT INTO login_count_v1 VALUES (?, 1) "
                "ON CONFLICT (user_key) DO UPDATE SET logins = login_count_v1.logins + 1",
                (recorded.stream,),
            )


class LoginCountWithTime(LoginCount):
    """Its next version, which says when the last one was."""

    version = 2
    tables: tuple[str, ...] = (
        """CREATE TABLE login_count_v2 (
          user_key TEXT PRIMARY KEY, logins BIGINT NOT NULL, last_at BIGINT NOT NULL)""",
    )

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            rows.execute(
                "INSERT INTO login_count_v2 VALUES (?, 1, ?) ON CONFLICT (user_key) DO UPDATE "
                "SET logins = login_count_v2.logins + 1, last_at = excluded.last_at",
                (recorded.stream, recorded.time),
            )


class Choosy(LoginCount):
    """One that can't apply the login of somebody."""

    mode: Mode = "follow"

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        for recorded in batch:
            if recorded.stream == user_key("bob"):
                msg = "not him"
                raise ValueError(msg)
            super().apply(rows, [recorded])


class Following(LoginCount):
    """The view of a test, following."""

    mode: Mode = "follow"


class Watched:
    """A storage that notes until when the rebuild is held, at each commit while it compares."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._comparing = False
        self.leases: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    @contextmanager
    def handover(self, work: Callable[[Transaction], None]) -> Iterator[Rows]:
        with self._storage.handover(work) as rows:
            self._comparing = True
            yield rows
            self._comparing = False

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._storage.transaction() as rows:
            yield rows
        if self._comparing:
            with self._storage.transaction() as rows:
                state = read_state(rows)
            assert state is not None
            self.leases.append(state.lease_until)


class Locked:
    """A storage that notes how many positions are read each time the append lock is held.

    `meanwhile` is done while a rebuild compares.
    """

    def __init__(self, storage: Storage, meanwhile: Callable[[Rows], None]) -> None:
        self._storage = storage
        self._meanwhile = meanwhile
        self.read: list[int] = []
        self.holds = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._storage, name)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._storage.transaction() as rows, self._holding():
            yield rows

    @contextmanager
    def handover(self, work: Callable[[Transaction], None]) -> Iterator[Rows]:
        def held(rows: Transaction) -> None:
            with self._holding():
                work(rows)

        with self._storage.handover(held) as rows:
            self._meanwhile(rows)
            yield rows

    @contextmanager
    def _holding(self) -> Iterator[None]:
        self.read.append(0)
        self.holds = True
        yield
        self.holds = False


class Measured(LogFeed):
    """The feed of whoever works on such a storage."""

    def __init__(self, locked: Locked) -> None:
        self._locked = locked

    def after(
        self, rows: Rows, position: int, span: int, wants: frozenset[type[events.Event]]
    ) -> Chunk:
        chunk = super().after(rows, position, span, wants)
        if self._locked.holds:
            self._locked.read[-1] += chunk.reached - position
        return chunk


class DyingStorage:
    """A storage whose user dies at a commit, which is stored or is not."""

    def __init__(self, storage: Storage, commits: int, *, done: bool) -> None:
        self.kind = storage.kind
        self._storage = storage
        self._left = commits
        self._done = done

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._storage.transaction() as rows:
            yield cast("Transaction", Dying(rows, self._commit))

    @contextmanager
    def handover(self, work: Callable[[Transaction], None]) -> Iterator[Rows]:
        if self._left == 0 and not self._done:
            raise Broken
        with self._storage.handover(work) as rows:
            if self._left == 0:
                raise Broken
            self._left -= 1
            yield rows

    def snapshot(self) -> AbstractContextManager[Rows]:
        return self._storage.snapshot()

    def roomy(self) -> AbstractContextManager[None]:
        return self._storage.roomy()

    def drop(self, table: str) -> None:
        if self._left == 0:
            raise Broken
        self._left -= 1
        self._storage.drop(table)

    def _commit(self, rows: Transaction) -> None:
        if self._left == 0:
            if self._done:
                rows.commit()
            raise Broken
        self._left -= 1
        rows.commit()


class Dying:
    """One transaction of it."""

    def __init__(self, rows: Transaction, commit: Callable[[Transaction], None]) -> None:
        self._rows = rows
        self._commit = commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._rows, name)

    def commit(self) -> None:
        self._commit(self._rows)
