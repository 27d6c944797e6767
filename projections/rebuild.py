"""Filling a view again from the first event, beside the one that is live, and then swapping.

Every step is a transaction that carries its own place, so it can be killed at any moment and
resumed; a row with a lease keeps a second one away. What came meanwhile is folded in such steps
too, so that little is left for the moments that need the append lock. Until the swap nobody else
sees anything of it. Knows no log and no clock but the store's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from projections.comparison import Difference, differences, digest
from projections.live import Pointer, find, read_pointers
from projections.naming import AS_WRITTEN, Names, base_of, named, renamed
from projections.projection import Projection
from projections.rebuild_state import (
    BEGIN,
    END,
    LEASE,
    LEAVE,
    MOVE,
    RESUME,
    SET_DIGEST,
    State,
    check_free,
    next_build,
    read_state,
)
from projections.runner import (
    GO_ON,
    SET_ERROR,
    SPAN,
    Chunk,
    Failure,
    Feed,
    Portion,
    failure_of,
    portion,
    read_stall,
    singly,
    write,
)
from projections.standing import standing
from projections.storage import Refused, Rows, Storage, Transaction

SHORT: Final = 0.25
"""Seconds: while the log doesn't grow, portions do, until one holds the append lock as long."""
RENEW_EVERY: Final = 3.0
"""Seconds between two signs of life while tables are compared."""
NAMED: Final = 20
"""Rows that are named when the live table differs from the log."""
DIFFERS: Final = "rebuild.differs"
"""The type of an error that is no event: the live table isn't what the log says."""

_ADD_POINTER: Final = "INSERT INTO views (name, version, position, build) VALUES (?, ?, ?, ?)"
_SWAP: Final = "UPDATE views SET version = ?, position = ?, build = ? WHERE name = ?"
_MOVE_LIVE: Final = "UPDATE views SET position = ? WHERE name = ?"


class Swapped(NamedTuple):
    """The new table is live; `differed` are rows that the old one had wrong."""

    name: str
    digest: str
    position: int
    differed: list[Difference]


class Differs(NamedTuple):
    """The live table isn't what the log says, and stays until that is accepted."""

    name: str
    position: int
    rows: list[Difference]
    """The first few."""


class Stopped(NamedTuple):
    """An event can't be applied; the live table stays."""

    name: str
    failure: Failure


Outcome = Swapped | Differs | Stopped


class Gone(Exception):
    """The rebuild was cancelled, or somebody else went on with it."""


class _Failed(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class Rebuild:
    """Rebuilds views, one at a time; `holder` is whoever does it. Belongs to one thread.

    `on_swap` is told within the transaction that swaps, `told` where the rebuild is and where the
    log ends. `pause` is given the seconds that a step took, where others want to write as well.
    """

    def __init__(
        self,
        storage: Storage,
        feed: Feed,
        kept: Sequence[Projection],
        on_swap: Callable[[Rows], None],
        holder: str,
        *,
        served: bool = False,
        told: Callable[[State, int], None] = lambda *_: None,
        pause: Callable[[float], None] = lambda seconds: time.sleep(seconds / 4),
        monotonic: Callable[[], float] = time.monotonic,
        span: int = SPAN,
    ) -> None:
        self._storage = storage
        self._feed = feed
        self._kept = kept
        self._on_swap = on_swap
        self._holder = holder
        self._served = served
        self._told = told
        self._pause = pause
        self._monotonic = monotonic
        self._span = span
        self._renewed_at = monotonic()

    def begin(self, name: str, *, accept: bool = False) -> State:
        """Begin a rebuild, or go on with the same one when it was broken off.

        Raises `NotFound` for a view that there isn't, `RebuildRunning`.
        """
        projection = find(self._kept, name)
        with self._storage.transaction() as rows:
            now, state = rows.clock(), read_state(rows)
            if state is not None:
                check_free(state, name, self._holder, now)
            until = now + LEASE
            if state is not None and state.version == projection.version:
                held = (int(accept), int(self._served), self._holder, until, now)
                rows.execute(RESUME, held)
            else:
                rows.execute(END)
                build = next_build(rows, name, projection.version)
                row = (name, projection.version, build, 0, now, int(accept), int(self._served))
                rows.execute(BEGIN, (*row, self._holder, until, now, 0))
            state = self._mine(rows)
            rows.commit()
        return state

    def run(self, state: State) -> Outcome:
        """Fill, compare and swap; raises `Gone` when it was cancelled or taken over.

        The table that nobody needs then is left over, whatever came of it.
        """
        projection = find(self._kept, state.name)
        self._make_table(state, projection)
        try:
            with self._storage.roomy():
                return self._finish(self._fill(state, projection), projection)
        except _Failed as error:
            self._give_up(state, error.failure)
            return Stopped(state.name, error.failure)

    def leave(self) -> None:
        """Let somebody else go on at once with what this one was at."""
        with self._storage.transaction() as rows:
            rows.execute(LEAVE, (self._holder,))
            rows.commit()

    def _make_table(self, state: State, projection: Projection) -> None:
        """An empty table, unless it is there already."""
        with self._storage.transaction() as transaction:
            if transaction.has_table(state.table):
                return
            self._mine(transaction)
            for statement in projection.tables:
                transaction.define(renamed(statement, state.names))
            transaction.commit()

    def _fill(self, state: State, projection: Projection) -> State:
        """Up to where the log ends; in small portions where others write meanwhile."""
        head, before, span = state.position + 1, 0, self._span
        while state.position < head:
            started = self._monotonic()
            with self._storage.snapshot() as rows:
                head = self._feed.head(rows)
                chunk = self._feed.after(rows, state.position, span, projection.wants)
            read = self._monotonic()
            state = self._step(state, projection, chunk)
            self._told(state, head)
            stored = self._monotonic()
            if head != before:
                before, span = head, self._span
                self._pause(stored - started)
            elif stored - read < SHORT:
                span *= 2
        return state

    def _step(self, state: State, projection: Projection, chunk: Chunk) -> State:
        """The next events; raises `_Failed` and `Gone`."""
        try:
            return self._store(state, portion(projection, chunk))
        except Refused:
            for number, each in enumerate(singly(projection, chunk)):
                try:
                    state = self._store(state, each)
                except Refused as error:
                    raise _Failed(failure_of(chunk.recorded[number], error)) from error
        return state

    def _store(self, state: State, what: Portion) -> State:
        with self._storage.transaction() as rows:
            self._mine(rows)
            moved = self._write(rows, state, what)
            rows.commit()
        if what.failure is not None:
            raise _Failed(what.failure)
        return moved

    def _write(self, rows: Transaction, state: State, what: Portion) -> State:
        write(rows, state.names, what.statements)
        until = rows.clock() + LEASE
        rows.execute(MOVE, (what.reached, until))
        self._renewed_at = self._monotonic()
        return state._replace(position=what.reached, lease_until=until)

    def _finish(self, state: State, projection: Projection) -> Outcome:
        """Compare both at one position, and swap or leave it."""
        self._bring_near(state, projection)
        state = reached = self._near(state, projection)

        def catch_up(rows: Transaction) -> None:
            nonlocal reached
            self._mine(rows)
            reached = self._caught_up(rows, state, projection)
            self._bring_live(rows, state.name, projection)

        with self._storage.handover(catch_up) as rows:
            live = read_pointers(rows).get(state.name)
            new = named(rows, reached.names)
            renew = self._renewing(reached)
            found = digest(new, projection, renew)
            differed: list[Difference] = []
            if live is not None and live.version == reached.version:
                old = named(rows, _names(live))
                if live.position < reached.position:
                    place = live.position
                    with standing(rows, self._feed, projection, place, renew) as then:
                        differed = list(islice(differences(old, then, projection, renew), NAMED))
                elif digest(old, projection, renew) != found:
                    differed = list(islice(differences(old, new, projection, renew), NAMED))
        if differed and not reached.accept:
            self._give_up(reached, _difference(reached, differed))
            return Differs(state.name, reached.position, differed)
        near = self._near(reached, projection)
        self._swap(near, projection, found, reached.position)
        return Swapped(state.name, found, reached.position, differed)

    def _near(self, state: State, projection: Projection) -> State:
        """To where no more than a portion is left to be done under the append lock."""
        while self._left(state) > self._span:
            state = self._fill(state, projection)
        return state

    def _left(self, state: State) -> int:
        with self._storage.snapshot() as rows:
            return self._feed.head(rows) - state.position

    def _swap(self, state: State, projection: Projection, found: str, compared: int) -> None:
        """`found` is the digest at the position that was compared."""
        with self._storage.transaction() as rows:
            self._mine(rows)
            last = self._caught_up(rows, state, projection).position
            if state.name in read_pointers(rows):
                rows.execute(_SWAP, (state.version, last, state.build, state.name))
            else:
                rows.execute(_ADD_POINTER, (state.name, state.version, last, state.build))
            rows.execute(GO_ON, (state.name,))
            rows.execute(SET_DIGEST, (found, compared, state.name))
            rows.execute(END)
            self._on_swap(rows)
            rows.commit()

    def _caught_up(self, rows: Transaction, state: State, projection: Projection) -> State:
        """What is left, under the append lock; raises `_Failed`."""
        while state.position < self._feed.head(rows):
            chunk = self._feed.after(rows, state.position, self._span, projection.wants)
            what = portion(projection, chunk)
            state = self._write(rows, state, what)
            if what.failure is not None:
                raise _Failed(what.failure)
        return state

    def _bring_near(self, state: State, projection: Projection) -> None:
        """A following view that is far behind, in portions, as who follows would."""
        while projection.mode == "follow":
            started = self._monotonic()
            with self._storage.transaction() as rows:
                state = self._mine(rows)
                live = self._lagging(rows, state.name, projection)
                if live is None or state.position - live.position <= self._span:
                    return
                self._bring(rows, live, projection)
                self._write(rows, state, Portion([], state.position, None))
                rows.commit()
            self._told(state, state.position)
            self._pause(self._monotonic() - started)

    def _bring_live(self, rows: Transaction, name: str, projection: Projection) -> None:
        while live := self._lagging(rows, name, projection):
            self._bring(rows, live, projection)

    def _lagging(self, rows: Rows, name: str, projection: Projection) -> Pointer | None:
        """A following view that is behind; one that stopped, or an inline one, stays there."""
        live = read_pointers(rows).get(name)
        goes_on = (
            live is not None
            and projection.mode == "follow"
            and live.version == projection.version
            and live.position < self._feed.head(rows)
            and read_stall(rows, name) is None
        )
        return live if goes_on else None

    def _bring(self, rows: Rows, live: Pointer, projection: Projection) -> None:
        chunk = self._feed.after(rows, live.position, self._span, projection.wants)
        what = portion(projection, chunk)
        write(rows, _names(live), what.statements)
        rows.execute(_MOVE_LIVE, (what.reached, live.name))

    def _renewing(self, state: State) -> Callable[[int], None]:
        """What shows a sign of life now and then while rows are read."""

        def renew(_: int) -> None:
            self._told(state, state.position)
            if self._monotonic() - self._renewed_at >= RENEW_EVERY:
                self._store(state, Portion([], state.position, None))

        return renew

    def _give_up(self, state: State, failure: Failure) -> None:
        """Say why, and leave the live table as it is."""
        with self._storage.transaction() as rows:
            self._mine(rows)
            rows.execute(END)
            rows.execute(SET_ERROR, (*failure, state.name))
            rows.commit()

    def _mine(self, rows: Rows) -> State:
        """The row of the rebuild under way; raises `Gone` when it isn't this one's."""
        state = read_state(rows)
        if state is None:
            msg = "The rebuild was cancelled."
            raise Gone(msg)
        if state.holder != self._holder:
            msg = "Somebody else goes on with this rebuild."
            raise Gone(msg)
        return state


def _names(live: Pointer) -> Names:
    return ((base_of(live.name, live.version), live.table),) if live.build else AS_WRITTEN


def _difference(state: State, rows: list[Difference]) -> Failure:
    which = "; ".join(map(str, rows))
    detail = f"The live table isn't what the log says: {which}"
    return Failure(state.position, DIFFERS, detail)
