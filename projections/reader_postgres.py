"""A connection for look-ups on an event loop, on PostgreSQL: every wait for it has an end.

Knows no table.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg

from projections.storage import Lost, Row, Value
from projections.storage_postgres import CONNECT, STANDBY, dialect

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]

CONNECT_WITHIN: Final = 10.0
"""Seconds for finding and trying every host of the URL; each has `connect_timeout` of them."""


async def connect(url: str, within: float) -> AsyncConnection:
    """A connection for look-ups on an event loop; raises `Lost`, for a standby too.

    `within` are the seconds that setting it up may take, once it is there.
    """
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True, **CONNECT)  # type: ignore[arg-type]
    except (psycopg.Error, OSError) as error:
        raise Lost(str(error)) from error
    try:
        with _cut_after(within, connection):
            await connection.execute("SET statement_timeout=1500; SET TimeZone='UTC'")
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
    connection: AsyncConnection, sql: str, params: Sequence[Value | list[str]], within: float
) -> list[Row]:
    """Read every row of a look-up in so many seconds; raises `Lost` for any fault.

    Reading again is harmless.
    """
    try:
        with _cut_after(within, connection):
            cursor = await connection.execute(dialect(sql), params, prepare=True)
            return await cursor.fetchall()
    except psycopg.Error as error:
        raise Lost(str(error)) from error


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
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)
