"""A database that takes another one's place under whoever uses it, and the copy that it may be of.

Stands for a store that was restored, and for a server that was behind. Nothing tells the users.
"""

from __future__ import annotations

import sqlite3
import time
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.store.intruding import SQLITE

_PATIENCE_S: Final = 20.0


def copy(url: str, to: str) -> None:
    """All of a database; who is connected to it on PostgreSQL is cut off."""
    if url.startswith(SQLITE):
        _back_up(url, to)
        return
    with _elsewhere(url) as connection:
        _lock(connection, url)
        connection.execute(f"CREATE DATABASE {name(to)} TEMPLATE {name(url)}".encode())
        _unlock(connection, url)


def replace(url: str, by: str, kept: str) -> None:
    """Have `by` where `url` was, which on PostgreSQL is to be found as `kept` from then on."""
    if url.startswith(SQLITE):
        _back_up(by, url)
        return
    with _elsewhere(url) as connection:
        for each in (url, by):
            _lock(connection, each)
        for old, new in ((url, kept), (by, url)):
            connection.execute(f"ALTER DATABASE {name(old)} RENAME TO {name(new)}".encode())
        _unlock(connection, url)


def remove(url: str) -> None:
    """Drop a database of PostgreSQL, if there is one; files are nobody's care."""
    if not url.startswith(SQLITE):
        with _elsewhere(url) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name(url)} WITH (FORCE)".encode())


def beside(url: str, directory: object, word: str) -> str:
    """The URL of a store that isn't there yet."""
    if url.startswith(SQLITE):
        return f"{SQLITE}{directory}/{word}.db"
    return urlunsplit(urlsplit(url)._replace(path=f"/{word}_{name(url)}"))


def name(url: str) -> str:
    """What PostgreSQL calls the database."""
    return urlsplit(url).path.removeprefix("/")


def _back_up(url: str, to: str) -> None:
    source = sqlite3.connect(url.removeprefix(SQLITE))
    target = sqlite3.connect(to.removeprefix(SQLITE))
    source.backup(target)
    source.close()
    target.close()


def _elsewhere(url: str) -> psycopg.Connection:
    anywhere = urlunsplit(urlsplit(url)._replace(path="/postgres"))
    return psycopg.connect(anywhere, autocommit=True)


def _lock(connection: psycopg.Connection, url: str) -> None:
    """Let nobody connect, and wait until everybody is gone."""
    connection.execute(f"ALTER DATABASE {name(url)} ALLOW_CONNECTIONS false".encode())
    until = time.monotonic() + _PATIENCE_S
    asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    while connection.execute(asked, (name(url),)).fetchall():
        assert time.monotonic() < until, "somebody stays connected"
        time.sleep(0.01)


def _unlock(connection: psycopg.Connection, url: str) -> None:
    connection.execute(f"ALTER DATABASE {name(url)} ALLOW_CONNECTIONS true".encode())
