"""A server for the tests that need a real one, and an app in this process for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from app.application import application
from app.bootstrap import Service
from app.settings import load
from tests.http.asking import Asking
from tests.http.people import WAIT, People, Person
from tests.running import running, settings


class Starting:
    """Starts the service in this process, with settings by name, and gives a client of it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stack = ExitStack()

    def __call__(
        self, *, on_start: Callable[[Service], None] | None = None, **more: str
    ) -> TestClient[Litestar]:
        client = TestClient(
            application(load(self._given(more)).settings, on_start=on_start),
            raise_server_exceptions=False,
            base_url="https://auth.example.org",
        )
        return self._stack.enter_context(client)

    def people(self, **more: str) -> People:
        """Start it, for people: in this process they have user agents, and no address."""
        return People(self(on_start=None, **more), self._given(more))

    def _given(self, more: dict[str, str]) -> dict[str, str]:
        return settings(self._url, **{"ISSUER": "https://auth.example.org", **more})

    def stop(self) -> None:
        """Stop whatever was started; it may be started again."""
        self._stack.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """A running server with a store of its own."""
    path = tmp_path_factory.mktemp("served") / "gatebook.db"
    with running(settings(f"sqlite:///{path}", ISSUER="https://auth.example.org")) as started:
        yield Asking(started.port, path)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starting]:
    starting = Starting(f"sqlite:///{tmp_path}/gatebook.db")
    yield starting
    starting.stop()


@pytest.fixture
def start_anywhere(database_url: str) -> Iterator[Starting]:
    """The same on each kind of store."""
    starting = Starting(database_url)
    yield starting
    starting.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def people(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    """People at a server that runs, on each kind of store; a module's tests share it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('served')}/gatebook.db"
    else:
        url = request.getfixturevalue("postgres").create_database()
    given = settings(url, ISSUER="https://auth.example.org", TRUSTED_PROXIES="127.0.0.1")
    with running(given) as started:
        here = f"http://127.0.0.1:{started.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client:
            yield People(client, given)


@pytest.fixture
def ada(people: People) -> Person:
    """Somebody who has registered."""
    return people.new()


@pytest.fixture
def root(people: People) -> Person:
    """An administrator."""
    return people.new("admin")


@pytest.fixture
def api(start: Starting) -> TestClient[Litestar]:
    """The service in this process, with nothing set but the cheapest hash."""
    return start()
