"""A server for the tests that need a real one, and an app in this process for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from litestar.testing import TestClient

from app.http.application import application
from app.settings import load
from tests.http.asking import Asking
from tests.running import running, settings

Start = Callable[..., TestClient]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    """A running server with a store of its own."""
    path = tmp_path_factory.mktemp("served") / "gatebook.db"
    with running(settings(f"sqlite:///{path}", ISSUER="https://auth.example.org")) as started:
        yield Asking(started.port, path)


@pytest.fixture
def start(tmp_path) -> Iterator[Start]:
    """Starts the service in this process, with settings by name, and gives a client of it."""
    with ExitStack() as stack:

        def begin(**more: str) -> TestClient:
            url = f"sqlite:///{tmp_path}/gatebook.db"
            given = settings(url, **{"ISSUER": "https://auth.example.org", **more})
            given.pop("GATEBOOK_TEST_LEASH")
            client = TestClient(
                application(load(given).settings),
                raise_server_exceptions=False,
                base_url="https://auth.example.org",
            )
            return stack.enter_context(client)

        yield begin


@pytest.fixture
def api(start: Start) -> TestClient:
    """The service in this process, with nothing set but the cheapest hash."""
    return start()
