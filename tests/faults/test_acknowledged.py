"""What the proofs find of a change that was acknowledged, when it isn't stored as it should be."""

from __future__ import annotations

from collections import Counter

import pytest

from domain import events
from domain.sealed import Clear
from domain.stream import ANONYMOUS, Meta, Recorded, actor_of
from tests.prove.changes import change_of
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


@pytest.mark.parametrize(
    ("event", "actor", "change"),
    [
        (events.UserSecretChanged(Clear("a hash")), "uk_someone", "secret"),
        (events.UserSecretChanged(Clear("a hash")), "uk_admin", "secret reset"),
        (events.RefreshTokenRevoked("a session", "end_all"), "uk_someone", "all ended"),
        (
            events.RefreshTokenRevoked("a session", "admin"),
            "uk_admin",
            "all ended by an administrator",
        ),
        (
            events.UserRegistered(Clear("someone"), Clear("a hash")),
            "uk_admin",
            "registered by an administrator",
        ),
    ],
)
def test_a_change_by_an_administrator_is_another_than_the_own(
    event: events.Event, actor: str, change: str
) -> None:
    recorded = Recorded("uk_someone", 1, 1, 0, Meta(actor_of(actor), ""), event)
    assert change_of(recorded) == f"{change} uk_someone"


def test_who_registers_alone_is_not_changed() -> None:
    event = events.UserRegistered(Clear("someone"), Clear("a hash"))
    assert change_of(Recorded("uk_someone", 1, 1, 0, Meta(ANONYMOUS, ""), event)) is None
