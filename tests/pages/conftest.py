"""A service that runs, a browser, and windows of it at the service."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.http.people import WAIT, People
from tests.pages import browsing
from tests.pages.browsing import Browsing, Chromium
from tests.pages.guiding import Guide
from tests.pages.house import House
from tests.pages.visits import Visit
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """One for all tests of a module; each has windows of its own.

    No longer: while it lives, an event loop of its driver runs, beside which other tests can't run
    theirs.
    """
    browsing.lack_browser()
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with a store of its own, which a module's tests share."""
    path = tmp_path_factory.mktemp("pages") / "gatebook.db"
    with running(settings(f"sqlite:///{path}")) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def browse(chromium: Chromium, origin: str) -> Iterator[Browsing]:
    """Windows at the service, in which nothing may be wrong."""
    opened = Browsing(chromium, origin)
    yield opened
    assert opened.close() == []


@pytest.fixture
def stranger(origin: str) -> Iterator[Visit]:
    """Somebody without a browser, whom nobody knows."""
    with Visit(origin) as visit:
        yield visit


@pytest.fixture
def ada(stranger: Visit) -> Visit:
    """Somebody who has registered."""
    stranger.register()
    return stranger


@pytest.fixture
def visit(ada: Visit) -> Visit:
    """Somebody who has logged in."""
    assert ada.log_in().status_code == 303
    return ada


@pytest.fixture
def guide(browse: Browsing) -> Guide:
    """The start page, in a window of its own."""
    return Guide(browse.window())


@contextmanager
def housed(url: str) -> Iterator[House]:
    """A service on this store, with people."""
    given = settings(url)
    with running(given) as server:
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here, timeout=WAIT) as client, ExitStack() as leaving:
            yield House(server, People(client, given), leaving)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service with a store of its own and people with permissions, which a module shares."""
    path = tmp_path_factory.mktemp("house") / "gatebook.db"
    with housed(f"sqlite:///{path}") as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def any_house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """The same on each kind of store."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('house')}/gatebook.db"
    else:
        url = request.getfixturevalue("postgres").create_database()
    with housed(url) as found:
        yield found


@pytest.fixture
def look(chromium: Chromium, house: House) -> Iterator[Browsing]:
    """Windows at it, in which nothing may be wrong."""
    opened = Browsing(chromium, house.origin)
    yield opened
    assert opened.close() == []
