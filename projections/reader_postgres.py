"""A connection for look-ups and counters on an event loop, on PostgreSQL: every wait has an end.

Knows no table.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, LiteralString

import psycopg

from projections.connection_postgres import Connection
from projections.rows_postgres import dialect
from projections.storage import Lost, NoTable, Row, Value
from projections.storage_postgres import CONNECT, STANDBY

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Param = Value | list[str] | list[bytes] | list[int] | list[float]

CONNECT_WITHIN: Final = 10.0
"""Seconds for finding and trying every host of the URL; each has `connect_timeout` of them."""
LOOKING_UP: Final = (
    "SET statement_timeout=1500; SET TimeZone='UTC'; SET plan_cache_mode=force_generic_plan;"
    "SET enable_seqscan=off; SET enable_hashjoin=off; SET enable_mergejoin=off"
)
"""Rows by their keys, by a plan that is made once: to make it anew took longer than the look-up. It
reads no whole table, though that may have been empty when the plan was made."""
COUNTING: Final = (
    "SET lock_timeout=1000; SET statement_timeout=1500;"
    "SET idle_in_transaction_session_timeout=1500; SET TimeZone='UTC';"
    "SET default_transaction_isolation='read committed'; SET synchronous_commit=off"
)
"""For what may be lost with the server: its commits don't wait for the disk."""


async def connect(url: str, within: float, session: LiteralString = LOOKING_UP) -> AsyncConnection:
    """A connection for use on an event loop, `session` run; raises `Lost`, for a standby too.

    `within` are the seconds that setting it up may take, once it is there.
    """
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            connection = await psycopg.AsyncConnection.connect(
                url,
                autocommit=True,
                cursor_factory=psycopg.AsyncRawCursor,
                **CONNECT,  # type: ignore[arg-type]
            )
    except (psycopg.Error, OSError) as error:
        raise Lost(str(error)) from error
    try:
        with _cut_after(within, connection):
            await connection.execute(session)
            cursor = await connection.execute("SELECT pg_is_in_recovery()")
            if (await cursor.fetchall())[0][0]:
                raise Lost(STANDBY)
    except BaseException as error:
        await connection.close()
        if isinstance(error, psycopg.Error):
            raise Lost(str(error)) from error
        raise
    return connection


async def fetch(
    connection: AsyncConnection, sql: str, params: Sequence[Param], within: float
) -> list[Row]:
    """Every row that a statement gives, in so many seconds; raises `Lost` for any fault.

    `NoTable` when one that it names isn't there.
    """
    try:
        with _cut_after(within, connection):
            cursor = await connection.execute(dialect(sql), params, prepare=True)
            return await cursor.fetchall() if cursor.description else []
    except psycopg.errors.UndefinedTable as error:
        raise NoTable(str(error)) from error
    except psycopg.Error as error:
        raise Lost(str(error)) from error


class Reader:
    """One connection, made again when it broke; `within` are the seconds of one statement."""

    def __init__(self, url: str, within: float, session: LiteralString = LOOKING_UP) -> None:
        self._url = url
        self._within = within
        self._session = session
        self._connection: AsyncConnection | None = None

    async def fetch(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        """What may be said twice; once more on a new connection when the old one broke.

        Not once more after `within`: whoever asked has given up. Raises `Lost`.
        """
        clock = asyncio.get_running_loop().time
        started = clock()
        fresh = self._connection is None
        try:
            if self._connection is None:
                self._connection = await connect(self._url, self._within, self._session)
            return await self.go_on(sql, params)
        except NoTable:
            raise
        except Lost:
            await self.close()
            if fresh or clock() - started >= self._within:
                raise
            return await self.fetch(sql, params)

    async def go_on(self, sql: str, params: Sequence[Param] = ()) -> list[Row]:
        """What belongs to what was said before on this connection; raises `Lost`."""
        if self._connection is None:
            msg = "the connection was closed"
            raise Lost(msg)
        return await fetch(self._connection, sql, params, self._within)

    async def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@contextmanager
def _cut_after(seconds: float, connection: AsyncConnection) -> Iterator[None]:
    """Cut the wire under a connection that takes longer.

    Not a cancellation: the driver would pass it on to the server, and wait for it to obey.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: AsyncConnection) -> None:
    Connection.silences += 1
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
