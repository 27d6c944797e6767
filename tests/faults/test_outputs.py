"""What leaves the service, and what it writes: no more than it must.

Each is a long proof of `tests.prove` in its short form.
"""

from __future__ import annotations

import math
import random

import pytest

from tests.faults.holding import holds
from tests.prove import alike, canary, constant, long_lived, nobody, ranks, steady


def test_canaries_planted_through_every_endpoint_are_found_nowhere(database_url: str) -> None:
    """Security rules 19 and 20."""
    holds(canary, database_url)


def test_a_steady_refresh_writes_nothing_and_a_login_is_one_transaction(database_url: str) -> None:
    holds(steady, database_url)


def test_wrong_and_disabled_get_one_answer_whatever_their_hash(database_url: str) -> None:
    """Security rule 9; how long they take is for the long form to compare."""
    holds(alike, database_url)


def test_nobody_gets_the_answer_that_somebody_gets(database_url: str) -> None:
    """Security rule 9; how long they take is for the long form to compare."""
    holds(nobody, database_url)


def test_the_times_of_every_kind_are_told_at_both_ways_in(sqlite_url: str) -> None:
    """Security rule 9: whoever reads what was measured sees how much, and of how many."""
    tally = alike.prove(sqlite_url, 3)
    hashing, head, line, *rows = tally.lines
    assert hashing == "hash of 8 KiB, 1 times"
    cells = [[each.strip() for each in row.strip("|").split("|")] for row in (head, line, *rows)]
    assert {len(each) for each in cells} == {8}
    assert cells[0][2:] == ["5 %", "25 %", "50 %", "75 %", "95 %", "AUC against wrong"]
    kinds = {row[0].removesuffix(", ms"): row[1:] for row in cells[2:]}
    assert list(kinds) == [f"{kind}" for kind in alike.KINDS]
    for path in ("/authenticate", "/userkey"):
        for who in ("unknown", "erased", "wrong", "older wrong", "older disabled"):
            number, *shown, against = kinds[f"{path} {who}"]
            assert number == "3"
            assert 0 < float(shown[0]) <= float(shown[2]) <= float(shown[-1])
            assert 0 <= float(against) <= 1
        assert kinds[f"{path} wrong"][-1] == "0.500"


def test_how_times_are_told_apart() -> None:
    assert ranks.percentiles([float(each) for each in range(100, 0, -1)], (5, 25)) == [5, 25]
    assert ranks.percentiles([7.0], (5, 95)) == [7.0] * 2
    assert ranks.auc([2.0, 3.0], [1.0]) == 1
    assert ranks.auc([1.0], [1.0, 2.0]) == 0.25
    assert {str(kind) for kind in nobody.KINDS} == {
        *(
            f"{path} {who}"
            for path in ("/authenticate", "/userkey")
            for who in ("wrong", "unknown")
        ),
        "/authenticate erased",
    }


def _drawn(rng: random.Random, number: int, later: float = 0) -> list[float]:
    """Times of one kind, with a long tail; `later` in standard deviations of their logarithm."""
    return [math.exp(rng.gauss(later, 1)) for _ in range(number)]


@pytest.mark.parametrize(("number", "tries"), [(alike.BREACHES, 60), (1_000, 60)])
def test_times_of_one_distribution_are_not_told_apart(number: int, tries: int) -> None:
    """A control that chance alone passes would be none."""
    rng = random.Random(0)
    told = [ranks.told_apart(_drawn(rng, number), _drawn(rng, number)) for _ in range(tries)]
    assert not any(told)


def test_times_that_differ_as_on_a_busy_machine_are_told_apart() -> None:
    """By 0.1, as seen of a service that spends a user's own hash alone."""
    rng, later = random.Random(0), 0.358
    told = [
        ranks.told_apart(_drawn(rng, alike.BREACHES, later), _drawn(rng, alike.BREACHES))
        for _ in range(30)
    ]
    assert all(told)


def test_kinds_that_are_alike_are_seldom_taken_for_different() -> None:
    assert min(alike.SIZE, nobody.SIZE) >= ranks.TELLING
    assert 3.4 * ranks.by_chance(ranks.TELLING, ranks.TELLING) < ranks.ALIKE


def test_a_wrong_proof_is_refused_wherever_it_is_wrong(sqlite_url: str) -> None:
    """Security rule 22; how long it takes is for the long form to compare."""
    holds(constant, sqlite_url)


def test_who_has_logged_in_often_logs_in_as_anybody(database_url: str) -> None:
    holds(long_lived, database_url)
