"""The users of an open store, as commands find and change them.

Knows no command.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from app import bootstrap
from app.administration import Administration, Directory, UserItem
from app.clock import now
from app.hash_parameters import exchange
from app.opening import Opener
from app.passwords import HashPool
from app.registration import Registration
from app.signing_keys import DispatchRows
from app.writer import Wish
from domain.commands import RegisterUser, ResetSecret
from domain.events import RefreshTokenRevoked
from projections.storage import Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cli.access import Access
    from domain.commands import Command
    from domain.stream import Meta, Recorded


class Administering(msgspec.Struct, frozen=True):
    """What changes the users of a store, and the events that this has led to so far."""

    users: Administration
    dispatch: DispatchRows
    recorded: list[Recorded]

    @property
    def changed(self) -> bool:
        """Whether there was anything to change."""
        return bool(self.recorded)

    @property
    def ended(self) -> int:
        """How many sessions were ended."""
        return sum(isinstance(each.event, RefreshTokenRevoked) for each in self.recorded)


def directory_of(access: Access) -> Directory:
    """What reads the users of a store."""
    store = access.store
    return Directory(Opener(store.vault), store.ring, bootstrap.policy_of(access.settings))


def find(access: Access, user: str) -> UserItem:
    """The user of a user_id or a user_key; raises `NotFound`."""
    with access.store.snapshot() as rows:
        return directory_of(access).find(rows, user, now())


@contextmanager
def administration(access: Access) -> Iterator[Administering]:
    """What changes the users of a store, with a service running or not."""
    settings = access.settings
    writer = bootstrap.open_writer(access.store, settings)
    recorded: list[Recorded] = []

    async def dispatch(
        command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        if isinstance(command, RegisterUser | ResetSecret):
            exchange(access.store.storage, pool)
        (answer,) = writer.commit([Wish(command, meta, rows)])
        if isinstance(answer, Exception):
            raise answer
        recorded.extend(answer)
        return answer

    pool = HashPool(threads=1, memory_kib=settings.hash_memory_kib, time_cost=settings.hash_time)
    registration = Registration(dispatch, pool, bootstrap.rules_of(settings))
    try:
        yield Administering(Administration(dispatch, registration), dispatch, recorded)
    finally:
        pool.close()
