"""What the proofs find of a change that was acknowledged, when it isn't stored as it should be."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.prove.load import Ledger
from tests.prove.stored import Stored, judge
from tests.prove.tally import Tally

CHANGE = "disabled uk_someone"


def found(times: int, *, nameless: bool = False) -> list[str]:
    """What is wrong, when a change was acknowledged once and is stored so many times."""
    ledger, tally = Ledger(), Tally()
    ledger.asked[CHANGE] = 1
    ledger.changes[CHANGE] = "disabled"
    ledger.names.add("someone")
    ledger.registered["someone"] = "uk_someone"
    names = {} if nameless else {"someone": ["uk_someone"]}
    gone = {"uk_someone"} if nameless else set()
    stored = Stored(names, Counter(), set(), Counter(), gone, Counter({CHANGE: times}))
    judge(ledger, stored, tally)
    return tally.first


@pytest.mark.parametrize(
    ("times", "wrong"),
    [
        (0, [f"lost: the change: {CHANGE}"]),
        (1, []),
        (2, [f"doubled: the change: {CHANGE}, 2 times"]),
    ],
)
def test_an_acknowledged_change_is_stored_once(times: int, wrong: list[str]) -> None:
    assert found(times) == wrong


def test_who_can_not_be_read_any_more_has_to_have_been_erased() -> None:
    assert found(1, nameless=True) == ["lost: the registration of someone"]
