"""The `eventsourcing` library's own runner over our log, with our projection behind it.

For comparison alone: it is event by event, each with its place in a transaction of its own. Its
SQLite recorder can't be subscribed to, so that ours gives it the log.
"""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from eventsourcing.persistence import Tracking
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteTrackingRecorder

from app.eventstore.recorders import EventRecorder, LogReader
from projections.token_lookup import TokenLookup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.eventstore.log import EventLog
    from domain.stream import Recorded
    from projections.storage import Kind, Row, Value

PATIENCE: Final = 600.0
PAGE: Final = 1_000


class _Subscription:
    """Everything after a place, page by page; then it waits to be told that it is over."""

    def __init__(self, recorder: EventRecorder, gt: int | None, last: int) -> None:
        self._recorder = recorder
        self._reached = gt or 0
        self._last = last
        self._page: deque[Any] = deque()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def __next__(self) -> Any:
        if not self._page:
            self._page.extend(
                self._recorder.select_notifications(
                    self._reached, PAGE, self._last, inclusive_of_start=False
                )
            )
        if not self._page:
            self._over.wait()
            raise StopIteration
        found = self._page.popleft()
        self._reached = found.id
        return found

    def stop(self) -> None:
        """There will be no more."""
        self._over.set()


class View(SQLiteTrackingRecorder):
    """The library's place, and our table, in one file of SQLite."""

    def construct_create_table_statements(self) -> list[str]:
        """Both."""
        return [*super().construct_create_table_statements(), *TokenLookup.tables]


class _Rows:
    """An open transaction of the library's, as our projections write."""

    kind: Kind = "sqlite"

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def execute(self, sql: str, params: Sequence[Value] = ()) -> None:
        self._cursor.execute(sql, params)

    def fetch(self, sql: str, params: Sequence[Value] = ()) -> list[Row]:
        raise TypeError(sql, params)

    scan: Any = fetch
    has_table: Any = fetch


class StockProjection(Projection[View]):
    """Each event by itself."""

    name = "stock"

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self._ours = TokenLookup()

    def process_event(self, recorded: Recorded, tracking: Tracking) -> None:
        """Our statements and its place, in one transaction."""
        with self.view.datastore.transaction(commit=True) as cursor:
            if type(recorded.event) in self._ours.wants:
                self._ours.apply(_Rows(cursor), (recorded,))
            self.view._insert_tracking(cursor, tracking)


def run(log: EventLog, last: int, directory: Path) -> None:
    """Process the log up to a position."""

    class Recorder(EventRecorder):
        def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Any:
            return _Subscription(self, gt, last)

    class Reader(LogReader):
        def __init__(self, env: Any = None) -> None:
            super().__init__(log)
            self.recorder = Recorder(log)

    env = {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "SQLITE_DBNAME": str(directory / "stock.db"),
    }
    with ProjectionRunner(
        application_class=Reader, projection_class=StockProjection, view_class=View, env=env
    ) as runner:
        runner.wait(last, timeout=PATIENCE)
