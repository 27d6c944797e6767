"""The log as it grows, read from the store itself, with a service running or not.

The store may be away for a while: nothing is missed for that. Knows nothing of how events are
printed.
"""

from __future__ import annotations

import select
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from app.audit import Page, Wanted, places, read_page
from app.cli import output
from app.cli.access import closing_storage, without_password
from app.eventstore.log import read_head
from app.log_place import log_place, position_of
from projections.storage import Lost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.audit import EventItem
    from app.cli.access import Access
    from projections.storage import Rows, Storage

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at a log that has nothing new."""
PAGE: Final = 500


def follow(access: Access, wanted: Wanted) -> Iterator[list[EventItem]]:
    """The events that there are, and then those that come, for as long as somebody reads stdout.

    Raises as `audit.events` does, and `LogChanged` when another log took the place of this one.
    """
    with ExitStack() as opened:
        yield from _follow(access, wanted, opened)


def _follow(access: Access, wanted: Wanted, opened: ExitStack) -> Iterator[list[EventItem]]:
    store, there = access.store, _There(access, opened)
    reached, away = 0, False
    while True:
        place = log_place(store.log_id, reached)
        try:
            with there.storage().snapshot() as rows:
                found = _next(rows, access, wanted, place)
        except Lost as error:
            if not away:
                reason = without_password(f"{error}", access.settings.database_url)
                output.talk(f"The store is away ({reason}). Waiting for it.")
            away = True
        else:
            if away:
                output.talk("The store is back.")
            away = False
            if found.items:
                yield found.items
            if found.failure is not None:
                raise found.failure
            if found.reached > reached:
                reached = found.reached
                continue
        if not _somebody_reads(LOOK_EVERY):
            raise BrokenPipeError


def _file(path: Path | None) -> tuple[int, int] | None:
    """Which file has the name of the database now; None while none has, and on PostgreSQL."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


class _There:
    """The database that has the name now: whoever has a file open reads that one for ever."""

    def __init__(self, access: Access, opened: ExitStack) -> None:
        self._settings = access.settings
        self._opened = opened
        self._storage = access.store.storage
        self._file = _file(self._settings.sqlite_path)

    def storage(self) -> Storage:
        """Opened anew when another file took the place of the one before."""
        now = _file(self._settings.sqlite_path)
        if now not in {self._file, None}:
            self._file = now
            self._storage = self._opened.enter_context(closing_storage(self._settings.database_url))
        return self._storage


def _next(rows: Rows, access: Access, wanted: Wanted, place: str) -> Page:
    head = read_head(rows)
    # What is recorded before `since` passes by, also when that is still to come.
    after, _ = places(rows, wanted)
    after = max(after, position_of(place, head))
    return read_page(rows, access.store.vault, wanted, after, head.position, PAGE)


def _somebody_reads(seconds: float) -> bool:
    """Wait so long, or less when whoever read stdout has gone; whether somebody may read it."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        time.sleep(seconds)  # it is no file
        return True
    poll = select.poll()
    poll.register(descriptor, 0)
    return not any(event & select.POLLERR for _, event in poll.poll(seconds * 1000))
