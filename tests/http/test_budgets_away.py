"""While guesses can't be counted: nobody gets in, nobody learns whether a secret is right.

The table of budgets is away, or one row of it: an attempt draws first on the source, then on the
account, and neither may be gone past.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from app.bootstrap import open_vault
from app.buckets import Claim, Limit
from app.buckets_postgres import row_name
from app.known_networks import network_mac
from app.settings import load
from app.store import open_store, storage_of
from app.throttle import account_claims, network_of, places
from tests.http.asking import Answer, Asking
from tests.http.people import at_once
from tests.http.test_budgets import HOME, SECRET, WRONG, from_afar, log_in, register
from tests.http.test_oauth import basic
from tests.running import running, settings
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.store.intruding import Intruder

Attempt = Callable[[], Answer]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Served(NamedTuple):
    """A service that runs, and somebody who has its database."""

    given: Mapping[str, str]
    server: Asking
    intruder: Intruder

    def rows(self, user_key: str) -> dict[str, bytes]:
        """The keys of rows that an attempt at this account draws on, by what they count."""
        settings = load(self.given).settings
        storage = storage_of(settings.database_url)
        try:
            ring = open_store(storage, open_vault(settings), settings.signing_algorithm).ring
        finally:
            storage.close()
        home = network_mac(ring.network, user_key, network_of(HOME)).hex()
        strangers, known = account_claims(user_key, [home])
        source = Claim(Limit("failures by address", 1, 1.0), places(HOME)[0])
        return {
            "source": row_name(ring.network, source),
            "strangers": row_name(ring.network, strangers),
            "home": row_name(ring.network, known),
        }

    def spent(self) -> tuple[float, object]:
        """How many hashes there were, and how many events there are."""
        told = self.server.ask("GET", "/metrics").body.decode().splitlines()
        (line,) = (each for each in told if each.startswith("gatebook_hash_seconds_count"))
        return float(line.rpartition(" ")[2]), self.intruder.run("SELECT count(*) FROM events")


@pytest.fixture
def served(postgres_url: str) -> Iterator[Served]:
    given = settings(postgres_url, TRUSTED_PROXIES="127.0.0.1")
    with running(given) as started, intrude(postgres_url) as intruder:
        yield Served(given, Asking(started.port, Path()), intruder)


def at_token(server: Asking, user_key: str, source: str, secret: str) -> Answer:
    headers = {**FORM, **basic(user_key, secret), "X-Forwarded-For": source}
    return server.ask("POST", "/oauth/token", b"grant_type=client_credentials", headers)


def attempts(server: Asking, user_key: str, name: str, *sources: str) -> list[Attempt]:
    """By key and by name, the right ones first."""
    return [
        attempt
        for secret in (SECRET, WRONG)
        for source in sources
        for attempt in (
            partial(log_in, server, user_key, source, secret),
            partial(log_in, server, name, source, secret, "/userkey"),
            partial(at_token, server, user_key, source, secret),
        )
    ]


def assert_unavailable(answers: list[Answer]) -> None:
    """All alike, whatever they would have heard."""
    for answer in answers:
        told = answer.json
        assert answer.status == 503, told
        assert told.get("code", told.get("error")) in {"unavailable", "temporarily_unavailable"}
        assert int(answer.headers["retry-after"]) > 0
        assert not {"user_key", "access_token", "refresh_token"} & set(told)


def test_while_the_table_of_budgets_is_away_nobody_gets_in(served: Served) -> None:
    """Security rule 27: nor is a hash spent, so that nobody learns what is right."""
    server, intruder = served.server, served.intruder
    user_key = register(server, "ada")
    assert log_in(server, user_key, HOME, SECRET).status == 200
    tried = attempts(server, user_key, "ada", HOME, from_afar())
    before = served.spent()
    intruder.run("ALTER TABLE budgets RENAME TO elsewhere")
    assert_unavailable(at_once(*tried))
    assert served.spent() == before
    intruder.run("ALTER TABLE elsewhere RENAME TO budgets")
    assert [attempt().status for attempt in tried] == [200] * 6 + [401] * 6


@pytest.mark.parametrize("whose", ["source", "home", "strangers"])
def test_while_one_budget_is_out_of_reach_nobody_gets_in_who_draws_on_it(
    served: Served, whose: str
) -> None:
    """Security rule 27: although the other one of the attempt is there, and so are all others."""
    server, intruder = served.server, served.intruder
    user_key, other = register(server, "ada"), register(server, "ben")
    assert log_in(server, user_key, HOME, SECRET).status == 200
    source = from_afar() if whose == "strangers" else HOME
    tried = attempts(server, user_key, "ada", source)
    before = served.spent()
    intruder.refuse("budgets", "key", f"\\x{served.rows(user_key)[whose].hex()}")
    assert_unavailable([attempt() for attempt in tried])
    assert served.spent() == before
    beside = (user_key, from_afar()) if whose == "source" else (other, source)
    assert log_in(server, *beside, SECRET).status == 200
    intruder.relent("budgets")
    assert [attempt().status for attempt in tried] == [200] * 3 + [401] * 3
