"""Letting a log that was filled in go on as another one, so that nothing of before is believed.

It takes a new log_id, which tells readers of the old one that they must begin anew; every session
ends and every signing key is replaced at once, since what was revoked after the file was written
isn't known here. No clock is asked which sessions are over already: it may be wrong. Through the
writer, inside the transaction that fills the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final, NamedTuple

from app.archive.filling import Filled
from app.archive.lent import LentStorage
from app.archive.statistics import Statistics
from app.caller import command_line
from app.eventstore.log import EventLog
from app.eventstore.schema import NAME_LOG
from app.identifiers import new_log_id
from app.settings import Settings
from app.signing_keys import KeyRotation
from app.vault import Vault
from app.writer import Wish, Writer
from domain.commands import Command, EndSessions, EraseUser, RestoreLog
from domain.errors import NotFound
from domain.events import RefreshTokenRevoked
from domain.policy import Policy
from domain.stream import Meta, Recorded
from projections.storage import Statement, Transaction
from projections.token_lookup import WITH_SESSIONS

BATCH: Final = 64

Ending = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Is told how many people have sessions; what it gives hears of each few whose are ended."""

_HOW_MANY: Final = f"SELECT count(*) FROM ({WITH_SESSIONS}) AS found"  # noqa: S608
_ALL: Final = 2**62


class Restored(NamedTuple):
    """What became of it; `unknown` are those to erase who aren't there, or were erased before."""

    log_id: str
    sessions: int
    erased: int
    unknown: int


@contextmanager
def untold(_total: int) -> Iterator[Callable[[int], None]]:
    """Nobody hears how far it is."""
    yield lambda _: None


class Restoring:
    """Works in the transaction that filled the store."""

    def __init__(self, rows: Transaction, filled: Filled, vault: Vault) -> None:
        self._rows = rows
        self._filled = filled
        self._vault = vault
        log = EventLog(LentStorage(rows), filled.ring.log)
        self._writer = Writer(log, vault, filled.ring, Policy())
        self._statistics = Statistics(rows)

    def go_on(self, settings: Settings, erase: Sequence[str], ending: Ending) -> Restored:
        """Begin the other log; raises what the writer refuses with."""
        self._statistics.refresh()
        log_id, meta = new_log_id(), command_line()
        self._write([RestoreLog(log_id, self._filled.position)], meta, ((NAME_LOG, (log_id,)),))
        ended = self._end_all(meta, ending)
        rotation = KeyRotation(self._dispatch, self._vault, settings)
        asyncio.run(rotation.rotate(meta, at_once=True))
        erased = sum(self._erase(user_key, meta) for user_key in erase)
        return Restored(log_id, ended, erased, len(erase) - erased)

    def _end_all(self, meta: Meta, ending: Ending) -> int:
        ((total,),) = self._rows.fetch(_HOW_MANY, ("", _ALL))
        ended = 0
        with ending(int(total or 0)) as advance:
            for users in self._with_sessions():
                ended += self._end(users, meta)
                advance(len(users))
        return ended

    def _with_sessions(self) -> Iterator[list[str]]:
        after = ""
        while found := self._rows.fetch(WITH_SESSIONS, (after, BATCH)):
            users = [str(user_key) for (user_key,) in found]
            yield users
            after = users[-1]

    def _end(self, users: Sequence[str], meta: Meta) -> int:
        wishes = [EndSessions(user_key, "restored") for user_key in users]
        return sum(
            isinstance(each.event, RefreshTokenRevoked) for each in self._write(wishes, meta)
        )

    def _erase(self, user_key: str, meta: Meta) -> bool:
        try:
            return bool(self._write([EraseUser(user_key)], meta))
        except NotFound:
            return False

    async def _dispatch(
        self, command: Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        return tuple(self._write([command], meta, rows))

    def _write(
        self, commands: Sequence[Command], meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> list[Recorded]:
        """What follows; raises the first refusal."""
        recorded: list[Recorded] = []
        for answer in self._writer.commit([Wish(each, meta, rows) for each in commands]):
            if isinstance(answer, Exception):
                raise answer
            recorded += answer
        self._statistics.wrote(len(recorded))
        return recorded
