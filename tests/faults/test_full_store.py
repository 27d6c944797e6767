"""A store that can be read and not written: told as it is, and gone on with by itself."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import httpx
import psycopg

from tests.prove.load import SECRET, new_name
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import LiteralString

PATIENCE: Final = 30.0
"""Seconds; only ever spent when a test fails."""
A_PAGE: Final = 4096

_FULL: Final[tuple[LiteralString, ...]] = (
    """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$""",
    "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON probe EXECUTE FUNCTION full_disk()",
    "CREATE TRIGGER full_disk BEFORE INSERT ON events EXECUTE FUNCTION full_disk()",
)
_FREE: Final = "DROP FUNCTION full_disk CASCADE"


@contextmanager
def full(url: str, pid: int) -> Iterator[None]:
    """No file of the server's grows, or PostgreSQL finds no space."""
    if url.startswith("postgresql"):
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _FULL:
                connection.execute(statement)
            yield
            connection.execute(_FREE)
        return
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (A_PAGE, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def register(client: httpx.Client) -> int:
    wish = {"user_id": new_name(), "user_secret": SECRET}
    return client.post("/register", json=wish).status_code


def ready(client: httpx.Client, status: int) -> dict[str, object]:
    """What `/readyz` says once it answers so."""
    until = time.monotonic() + PATIENCE
    while True:
        answer = client.get("/readyz")
        if answer.status_code == status or time.monotonic() > until:
            assert answer.status_code == status, answer.text
            found: dict[str, object] = answer.json()
            return found


def test_a_full_store_is_not_ready_refuses_writes_and_goes_on(database_url: str) -> None:
    """Security rule 27."""
    with (
        running(settings(database_url)) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE) as client,
    ):
        assert register(client) == 201
        ready(client, 200)
        with full(database_url, server.pid):
            assert register(client) == 503
            told = ready(client, 503)
            assert client.get("/healthz").status_code == 200
        ready(client, 200)
        assert register(client) == 201
    store = next(each for each in told["checks"] if each["name"] == "store")  # type: ignore[attr-defined]
    assert not store["ok"]
    assert "writable" not in store["detail"]
