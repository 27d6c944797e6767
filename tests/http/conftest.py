"""A server for the tests that need a real one, and an app in this process for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from app.bootstrap import Service
from app.http.application import application
from app.settings import load
from tests.http.asking import Asking
from tests.running import running, settings


class Starting:
    """Starts the service in this process, with settings by name, and gives a client of it."""

    def __init__(self, folder: Path) -> None:
        self._url = f"sqlite:///{folder}/gatebook.db"
        self._stack = ExitStack()

    def __call__(
        self, *, on_start: Callable[[Service], None] | None = None, **more: str
    ) -> TestClient[Litestar]:
        given = settings(self._url, **{"ISSUER": "https://auth.example.org", **more})
        del given["GATEBOOK_TEST_LEASH"]
        client = TestClient(
            application(load(given).settings, on_start=on_start),
            raise_server_exceptions=False,
            base_url="https://auth.example.org",
        )
        return self._stack.enter_context(client)

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
    starting = Starting(tmp_path)
    yield starting
    starting.stop()


@pytest.fixture
def api(start: Starting) -> TestClient[Litestar]:
    """The service in this process, with nothing set but the cheapest hash."""
    return start()
