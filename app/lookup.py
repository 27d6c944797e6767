"""Look-ups by key while a request waits: one row of the views, never older than the request.

On SQLite a read on the loop's own connection; on PostgreSQL one query serves all look-ups that
wait, and none joins a query that was sent before it. Knows no rule: what a row means is decided
by the use cases.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import structlog

from app.deadline import left
from app.eventstore.log import HEAD, Head, Replaced, head_of
from domain.errors import GatebookError, InternalError, Unavailable
from projections.live import Live, Pointer
from projections.naming import AS_WRITTEN, Names, renamed
from projections.registry import PROJECTIONS
from projections.storage import Lost, NoTable, Row, Storage, Value
from projections.storage_sqlite import SqliteStorage
from projections.token_lookup import LOOK_UP, LOOK_UP_MANY, LOOK_UP_SERVICE, TokenRow
from projections.user_directory import (
    CREDENTIAL_BY_KEY,
    CREDENTIAL_BY_NAME,
    KNOWN_NETWORK,
    CredentialRow,
)

if TYPE_CHECKING:
    from projections.reader_postgres import Param, Reader

ANSWER_WITHIN: Final = 1.8
"""Seconds after which a look-up is given up."""
IN_FLIGHT: Final = 2

_NUL: Final = "\0"
"""PostgreSQL has no text with it, and refuses a whole query that asks for one."""

_VIEWS: Final = """
SELECT v.name, v.version, v.position, v.build, s.generation FROM store s CROSS JOIN views v"""
_TRIES: Final = 5
"""Times that a look-up is repeated because a view was swapped meanwhile."""


_logger = structlog.get_logger("gatebook.lookup")


class Lookup(Protocol):
    """Reads for requests; belongs to the event loop. Every method raises `Unavailable`.

    A view that was swapped meanwhile is looked up where it is now.
    """

    async def session(self, session_id: str) -> TokenRow | None:
        """A session with its user."""

    async def service_session(self, user_key: str, secret_version: int) -> TokenRow | None:
        """A user's service session that wasn't ended, for a secret that is still the user's."""

    async def credential(self, user_key: str, network_mac: bytes = b"") -> CredentialRow | None:
        """What a login needs, by user_key, and whether it knows the network."""

    async def credential_by_name(self, name_mac: bytes) -> CredentialRow | None:
        """What a login needs, by the keyed hash of the user_id, but for the network."""

    async def known_network(self, user_key: str, network_mac: bytes) -> int | None:
        """When a login of this user from there was noted, in µs; None if never."""

    async def head(self, known: Head | None = None) -> Head:
        """Where the log ends, and the store's generation.

        Raises `Replaced` when `known` isn't in the log.
        """

    async def close(self) -> None:
        """Close the connections."""


def lookup_of(storage: Storage) -> Lookup:
    """The look-up that fits a storage."""
    if isinstance(storage, SqliteStorage):
        return SqliteLookup(storage)
    from projections.storage_postgres import PostgresStorage  # noqa: PLC0415 - an extra

    assert isinstance(storage, PostgresStorage)  # noqa: S101 - there are two kinds
    return PostgresLookup(storage.url)


class _Known(NamedTuple):
    """What the views' tables are called, as of a generation of the store."""

    generation: int = -1
    names: Names = AS_WRITTEN

    @classmethod
    def of(cls, found: list[Row]) -> _Known:
        """From the rows of `_VIEWS`; raises `UnknownView`."""
        pointers = [Pointer(*row[:-1]) for row in found]  # type: ignore[arg-type]
        live = Live({each.name: each for each in pointers}, PROJECTIONS)
        return cls(int(found[0][-1] or 0), live.names)


class _ByKey(ABC):
    """The look-ups in terms of one-row statements, whose last column is the store's generation."""

    _known: _Known

    @abstractmethod
    async def _one(self, sql: str, *key: Value) -> Row:
        """The row, of the live tables."""

    async def service_session(self, user_key: str, secret_version: int) -> TokenRow | None:
        row = await self._one(LOOK_UP_SERVICE, user_key, secret_version)
        return None if row[0] is None else TokenRow.of(row)

    async def credential(self, user_key: str, network_mac: bytes = b"") -> CredentialRow | None:
        row = await self._one(CREDENTIAL_BY_KEY, network_mac, user_key)
        return _credential(row, user_key)

    async def credential_by_name(self, name_mac: bytes) -> CredentialRow | None:
        row = await self._one(CREDENTIAL_BY_NAME, name_mac)
        return _credential(row, name_mac)

    async def known_network(self, user_key: str, network_mac: bytes) -> int | None:
        last_at, _ = await self._one(KNOWN_NETWORK, network_mac, user_key)
        return None if last_at is None else int(last_at)

    async def head(self, known: Head | None = None) -> Head:
        row = await self._one(HEAD, known.position if known else 0)
        try:
            return head_of(row, known)
        except Replaced:
            self._known = _Known()
            raise


class SqliteLookup(_ByKey):
    """Reads on the loop: 15 µs, and WAL readers never wait."""

    def __init__(self, storage: SqliteStorage) -> None:
        self._storage = storage
        self._known = _Known()

    async def session(self, session_id: str) -> TokenRow | None:
        """A session with its user."""
        row = self._read(LOOK_UP, session_id)
        return None if row[0] is None else TokenRow.of(row)

    async def _one(self, sql: str, *key: Value) -> Row:
        return self._read(sql, *key)

    def _read(self, sql: str, *key: Value) -> Row:
        try:
            for _ in range(_TRIES):
                known = self._known
                row = self._try(renamed(sql, known.names), key)
                if row is not None and row[-1] == known.generation:
                    return row
                self._known = _Known.of(self._storage.look_up(_VIEWS, ()))
                if row is not None and self._known.names == known.names:
                    return row
        except Lost as error:
            raise Unavailable from error
        raise Unavailable

    def _try(self, sql: str, key: tuple[Value, ...]) -> Row | None:
        """None when a view has another table by now, or the store its own row no more."""
        try:
            found = self._storage.look_up(sql, key)
        except NoTable:
            return None
        return found[0] if found else None

    async def close(self) -> None:
        """Nothing: the storage closes its connections."""


Future = asyncio.Future[Row]


class PostgresLookup(_ByKey):
    """At most `IN_FLIGHT` queries at a time, each serving whatever waited when it was sent."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sessions: dict[str, list[Future]] = {}
        self._others: list[tuple[str, tuple[Value, ...], Future]] = []
        self._known = _Known()
        self._wanted = asyncio.Event()
        self._workers = [asyncio.create_task(self._work()) for _ in range(IN_FLIGHT)]

    async def session(self, session_id: str) -> TokenRow | None:
        """A session with its user."""
        if _NUL in session_id:
            return None
        future = self._future()
        self._sessions.setdefault(session_id, []).append(future)
        row = await self._answer(future)
        return None if row[0] is None else TokenRow.of(row)

    async def close(self) -> None:
        """End the workers and their connections."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _one(self, sql: str, *key: Value) -> Row:
        # Nothing has a key with it, so that any other that nothing has will do.
        key = tuple("" if isinstance(each, str) and _NUL in each else each for each in key)
        future = self._future()
        self._others.append((sql, key, future))
        return await self._answer(future)

    def _future(self) -> Future:
        return asyncio.get_running_loop().create_future()

    async def _answer(self, future: Future) -> Row:
        self._wanted.set()
        timer = future.get_loop().call_later(left(ANSWER_WITHIN), _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    async def _work(self) -> None:
        from projections.reader_postgres import Reader  # noqa: PLC0415 - an extra

        reader = Reader(self._url, ANSWER_WITHIN)
        try:
            while True:
                await self._wanted.wait()
                sessions, self._sessions = self._sessions, {}
                others, self._others = self._others, []
                self._wanted.clear()
                sessions = {
                    session_id: futures
                    for session_id, futures in sessions.items()
                    if not all(future.done() for future in futures)
                }
                try:
                    if sessions:
                        await self._serve_sessions(reader, sessions)
                    for sql, key, future in others:
                        if not future.done():
                            await self._serve(reader, sql, key, future)
                except Exception:
                    # A worker that ended would leave every later look-up without an answer.
                    _logger.exception("look_up_failed")
                    waiting = [each for futures in sessions.values() for each in futures]
                    _fail([*waiting, *(future for _, _, future in others)], InternalError)
                    await reader.close()
        finally:
            await reader.close()

    async def _serve_sessions(self, reader: Reader, sessions: dict[str, list[Future]]) -> None:
        try:
            found = await self._fetch(reader, LOOK_UP_MANY, (list(sessions),))
        except Lost:
            _fail([each for futures in sessions.values() for each in futures], Unavailable)
            return
        rows, nothing = {row[0]: row for row in found}, (None, *found[0][1:])
        for session_id, futures in sessions.items():
            for future in futures:
                if not future.done():
                    future.set_result(rows.get(session_id, nothing))

    async def _serve(
        self, reader: Reader, sql: str, key: tuple[Value, ...], future: Future
    ) -> None:
        try:
            found = await self._fetch(reader, sql, key)
        except Lost:
            _fail([future], Unavailable)
            return
        if not future.done():
            future.set_result(found[0])

    async def _fetch(self, reader: Reader, sql: str, params: Sequence[Param]) -> list[Row]:
        """The rows of the live tables, at least one; raises `Lost`."""
        for _ in range(_TRIES):
            known, found = self._known, []
            with suppress(NoTable):
                found = await reader.fetch(renamed(sql, known.names), params)
            if found and found[0][-1] == known.generation:
                return found
            self._known = _Known.of(await reader.fetch(_VIEWS))
            if found and self._known.names == known.names:
                return found
        msg = "the views were swapped again and again"
        raise Lost(msg)


def _credential(row: Row, key_or_mac: Value) -> CredentialRow | None:
    """Made in any case, so that nobody takes as long; of another one, or of none, it is none."""
    found_by, user_key, *_ = row
    found = CredentialRow.of(row)
    return found if found_by == key_or_mac and user_key is not None else None


def _fail(futures: Sequence[Future], error: type[GatebookError]) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error())


def _give_up(future: Future) -> None:
    if not future.done():
        future.set_exception(Unavailable())
