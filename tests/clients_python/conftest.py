"""Services that run: an ordinary one, and one whose tokens are good for two seconds and rotate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gatebook_client import GatebookAuth, Verifier
from tests.clients_python.served import Person, Served, served


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Tokens of two seconds; every refresh rotates, and every use is recorded."""
    given = {"ACCESS_TOKEN_TTL": "2", "REFRESH_ROTATION": "always", "REFRESH_AUDIT": "every"}
    with served(tmp_path_factory.mktemp("brief"), **given) as found:
        yield found


@pytest.fixture
def person(service: Served) -> Person:
    return service.person()


@pytest.fixture
def auth(service: Served, person: Person) -> Iterator[GatebookAuth]:
    made = GatebookAuth(service.url, user_key=person.user_key, user_secret=person.secret)
    yield made
    made.close()


@pytest.fixture
def verifying() -> Iterator[Callable[..., Verifier]]:
    """Makes verifiers, and closes them."""
    made: list[Verifier] = []

    def make(*given: Any, **more: Any) -> Verifier:
        made.append(Verifier(*given, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()
