"""Whose budget an attempt is counted in: of which source, and of which account."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from tests.http.asking import JSON, Answer, Asking
from tests.running import running, running_all, settings

FAILURES = 100
STRANGERS = 50
SECRET = "a quiet rope of seven"
WRONG = "a loud rope of seven"
HOME = "203.0.113.7"

numbers = count()


def unknown() -> str:
    """A user_key that nobody has and nobody has asked for before."""
    return f"uk_{next(numbers):026d}"


def from_afar() -> str:
    """An address in a site of its own, so that no source's budget is shared."""
    return f"2001:db8:{next(numbers):x}::1"


def log_in(
    server: Asking, user_key: str, source: str, secret: str = WRONG, path: str = "/authenticate"
) -> Answer:
    member = "user_id" if path == "/userkey" else "user_key"
    body = json.dumps({member: user_key, "user_secret": secret}).encode()
    return server.ask("POST", path, body, {**JSON, "X-Forwarded-For": source})


def statuses(server: Asking, forwarded: list[str]) -> list[int]:
    """The answers to one wrong login from each of these addresses, each of another user."""
    return [log_in(server, unknown(), address).status for address in forwarded]


def guess(server: Asking, user_key: str, times: int, path: str = "/authenticate") -> list[Answer]:
    """The answers to so many guesses of strangers at one account."""
    return [log_in(server, user_key, from_afar(), path=path) for _ in range(times)]


def register(server: Asking, name: str, source: str = HOME) -> str:
    body = json.dumps({"user_id": name, "user_secret": SECRET}).encode()
    answer = server.ask("POST", "/register", body, {**JSON, "X-Forwarded-For": source})
    assert answer.status == 201
    key: str = answer.json["user_key"]
    return key


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory):
    path = tmp_path_factory.mktemp("proxied") / "gatebook.db"
    with running(settings(f"sqlite:///{path}", TRUSTED_PROXIES="127.0.0.1")) as started:
        yield Asking(started.port, path)


@pytest.fixture
def served(database_url):
    with running(settings(database_url, TRUSTED_PROXIES="127.0.0.1")) as started:
        yield Asking(started.port, Path())


def test_a_made_up_address_has_no_budget_of_its_own(server) -> None:
    """Security rule 6. A few places come back while the test runs, never as many again."""
    found = statuses(server, [f"192.0.2.{n}" for n in range(2 * FAILURES)])
    assert found[:FAILURES] == [401] * FAILURES
    assert 429 in found[FAILURES:]


def test_a_trusted_proxy_s_clients_have_their_own(behind_proxy) -> None:
    """Security rule 6: the last hop that isn't trusted counts, whatever stands before it."""
    found = statuses(behind_proxy, [from_afar() for _ in range(FAILURES + 40)])
    assert found == [401] * (FAILURES + 40)
    found = statuses(behind_proxy, [f"192.0.2.{n}, 198.51.100.7" for n in range(2 * FAILURES)])
    assert found[:FAILURES] == [401] * FAILURES
    assert 429 in found[FAILURES:]


def test_strangers_spend_one_budget_and_the_owner_gets_in_from_where_he_was(served) -> None:
    """Security rule 18: nor do logins from there lock one another out, or give strangers more."""
    user_key = register(served, "ada")
    assert log_in(served, user_key, HOME, SECRET).status == 200
    found = [answer.status for answer in guess(served, user_key, STRANGERS + 5)]
    assert found == [401] * STRANGERS + [429] * 5
    for _ in range(5):
        assert log_in(served, user_key, HOME, SECRET).status == 200
        assert log_in(served, "ada", HOME, SECRET, "/userkey").status == 200
        assert guess(served, user_key, 1)[0].status == 429
    neighbour = HOME.removesuffix("7") + "8"
    assert log_in(served, user_key, neighbour, SECRET).status == 200
    refused = log_in(served, user_key, from_afar(), SECRET)
    assert refused.status == 429
    assert 0 < int(refused.headers["retry-after"]) <= 1_728


def test_the_owner_s_own_mistakes_at_home_leave_strangers_theirs(behind_proxy) -> None:
    user_key = register(behind_proxy, "ben", from_afar())
    home = [f"198.51.99.{number}" for number in range(250)]
    assert log_in(behind_proxy, user_key, home[0], SECRET).status == 200
    found = [log_in(behind_proxy, user_key, home[n], WRONG).status for n in range(FAILURES)]
    assert found == [401] * FAILURES
    assert guess(behind_proxy, user_key, 1)[0].status == 401


@pytest.mark.parametrize("path", ["/authenticate", "/userkey"])
def test_an_unknown_account_is_refused_as_a_known_one_is(served, path: str) -> None:
    """Security rule 9: as late, in the same words.

    At a server of its own: unknown accounts share buckets, and others' guesses would count.
    """
    name = f"owner-of-{path.removeprefix('/')}"
    user_key = register(served, name, from_afar())
    known = user_key if path == "/authenticate" else name
    nobody = unknown() if path == "/authenticate" else f"nobody-{next(numbers)}"
    answers = [guess(served, who, STRANGERS + 2, path) for who in (known, nobody)]
    for one, other in zip(*answers, strict=True):
        assert (one.status, one.headers.keys()) == (other.status, other.headers.keys())
        assert one.json.keys() == other.json.keys()
        assert one.json["code"] == other.json["code"]
    assert [each.status for each in answers[0]] == [401] * STRANGERS + [429] * 2


def test_both_ways_in_draw_on_one_budget(behind_proxy) -> None:
    user_key = register(behind_proxy, "chloe", from_afar())
    found = [each.status for each in guess(behind_proxy, user_key, 30)]
    found += [each.status for each in guess(behind_proxy, "chloe", 40, "/userkey")]
    assert found == [401] * STRANGERS + [429] * 20


def test_processes_share_budgets(postgres_url) -> None:
    given = settings(postgres_url, TRUSTED_PROXIES="127.0.0.1")
    with running_all(given, given) as processes:
        one, other = (Asking(each.port, Path()) for each in processes)
        user_key = register(one, "ada")
        assert log_in(one, user_key, HOME, SECRET).status == 200
        found = [each.status for each in guess(one, user_key, 30) + guess(other, user_key, 40)]
        assert found == [401] * STRANGERS + [429] * 20
        assert log_in(other, user_key, HOME, SECRET).status == 200
        same = [from_afar()] * 60
        found = statuses(one, same) + statuses(other, same)
        assert found[:FAILURES] == [401] * FAILURES
        assert 429 in found[FAILURES:]
