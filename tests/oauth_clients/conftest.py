"""A service on a socket, whose issuer is its own address, and programs registered with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.http.people import WAIT
from tests.http.steps import authenticate, register
from tests.oauth_clients.program import SCOPE, SECRET, Program
from tests.ports import free_port
from tests.prove.stored import grant
from tests.running import running, settings

Registering = Callable[[str], Program]


@pytest.fixture(autouse=True)
def http_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oauthlib insists on https otherwise, where the address is the machine's own too."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture(scope="session")
def registering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registering]:
    """Registers a program that has this secret."""
    url = f"sqlite:///{tmp_path_factory.mktemp('served')}/gatebook.db"
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    numbers = itertools.count(1)
    given = settings(url, PORT=str(port), ISSUER=issuer)
    with running(given), httpx.Client(base_url=issuer, timeout=WAIT) as client:

        def registered(secret: str) -> Program:
            user_key = register(client, f"program{next(numbers)}", secret)
            grant(url, user_key, *SCOPE.split())
            tokens = authenticate(client, user_key, secret)
            return Program(issuer, user_key, secret, tokens["refresh_token"])

        yield registered


@pytest.fixture
def program(registering: Registering) -> Program:
    """A new one, whose secret is an awkward one."""
    return registering(SECRET)
