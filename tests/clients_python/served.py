"""A service that runs, the people registered with it, and what it counted.

Knows no client of ours: it asks over plain HTTP.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from tests.http.steps import SECRET, authenticate, register
from tests.ports import free_port
from tests.prove.stored import grant
from tests.running import Server, running, settings

WAIT: Final = 30.0
_COUNT: Final = re.compile(
    r'gatebook_requests_total\{method="(\w+)",route="([^"]+)",status="(\d+)"\} ([\d.e+]+)'
)
_numbers = itertools.count(1)


class Person(NamedTuple):
    """Somebody registered."""

    user_key: str
    user_id: str
    secret: str


class Served:
    """A service at its issuer's address."""

    def __init__(self, server: Server, url: str, database_url: str, api: httpx.Client) -> None:
        self.server = server
        self.url = url
        self.database_url = database_url
        self.api = api

    def person(self, *permissions: str) -> Person:
        """Somebody new."""
        name = f"somebody{next(_numbers)}"
        user_key = register(self.api, name, SECRET)
        if permissions:
            grant(self.database_url, user_key, *permissions)
        return Person(user_key, name, SECRET)

    def tokens(self, person: Person) -> dict[str, str]:
        """Of a new session."""
        return authenticate(self.api, person.user_key, person.secret)

    def counted(self, route: str, status: int | None = None) -> int:
        """How many requests were answered so."""
        return sum(
            int(float(number))
            for _, where, found, number in _COUNT.findall(self.api.get("/metrics").text)
            if where == route and status in {None, int(found)}
        )


@contextmanager
def served(folder: Path, **more: str) -> Iterator[Served]:
    """A service on SQLite, with these settings besides."""
    port = free_port()
    url, database_url = f"http://127.0.0.1:{port}", f"sqlite:///{folder}/gatebook.db"
    given = settings(database_url, PORT=str(port), ISSUER=url, **more)
    with running(given) as server, httpx.Client(base_url=url, timeout=WAIT) as api:
        yield Served(server, url, database_url, api)
