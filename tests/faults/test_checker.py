"""The checker of recorded histories: it finds what can't be, and nothing that can.

Times are in ns; a request is written from when to when, and what came of it. Security rules 16
and 30.
"""

from __future__ import annotations

import pytest

from tests.prove.checker import Did, Op, check

ADA, BOB = 0, 1
ONE, TWO = "one", "two"


def begin(begun: int, answered: int, session: str = ONE, *, user: int = ADA, secret: int = 0) -> Op:
    return Op(begun, answered, "login", 200, did="begin", user=user, target=session, value=secret)


def use(
    begun: int, answered: int, session: str = ONE, *, status: int = 200, demands: bool = False
) -> Op:
    refused = status == 401
    return Op(begun, answered, "use", status, ADA, session, demands, refused)


def grant(begun: int, answered: int, session: str = ONE, *, secret: int = 0) -> Op:
    return Op(begun, answered, "grant", 200, session=session, did="grant", user=ADA, value=secret)


def change(
    did: Did,
    begun: int,
    answered: int,
    *,
    target: str = "",
    value: int = 0,
    status: int = 204,
    user: int = ADA,
) -> Op:
    return Op(begun, answered, did, status, did=did, user=user, target=target, value=value)


def found(*history: Op) -> list[tuple[str, str]]:
    return [(wrong.kind, wrong.what.partition(" by ")[0]) for wrong in check(history)]


ENDS = [
    change("end_session", 20, 30, target=ONE),
    change("end_all", 20, 30),
    change("end_all", 20, 30, target=TWO),
    change("secret", 20, 30, value=1),
    change("disable", 20, 30),
    change("erase", 20, 30),
]
SPARING = [
    change("end_session", 20, 30, target=TWO),
    change("end_all", 20, 30, target=ONE),
    change("end_all", 20, 30, user=BOB),
    change("secret", 20, 30, target=ONE, value=1),
    change("disable", 20, 30, user=BOB),
    change("erase", 20, 30, user=BOB),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.did)
def test_a_success_that_began_after_the_answer_of_an_end_is_found(end: Op) -> None:
    assert found(begin(0, 10), end, use(31, 40)) == [("ended", "use")]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.did)
def test_a_success_that_began_before_the_answer_of_an_end_is_legal(end: Op) -> None:
    assert found(begin(0, 10), end, use(11, 19), use(25, 50), use(29, 35)) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.did)
def test_a_session_that_may_have_begun_after_an_end_is_not_ended_by_it(end: Op) -> None:
    if end.did != "end_session":
        assert found(begin(0, 21), end, use(31, 40)) == []
        assert found(begin(25, 35), end, use(40, 50)) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.did)
def test_an_end_that_was_refused_or_not_answered_ends_nothing(end: Op) -> None:
    for status in (0, 401, 503):
        failed = change(
            end.did, end.begun, end.answered, target=end.target, value=end.value, status=status
        )
        assert found(begin(0, 10), failed, use(31, 40)) == []


@pytest.mark.parametrize("end", SPARING, ids=lambda end: end.did)
def test_an_end_of_others_ends_nothing(end: Op) -> None:
    assert found(begin(0, 10), end, use(31, 40)) == []


@pytest.mark.parametrize("end", SPARING, ids=lambda end: end.did)
def test_a_refusal_that_nothing_called_for_is_found(end: Op) -> None:
    assert found(begin(0, 10), end, use(31, 40, status=401)) == [("uncalled_for", "use")]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.did)
def test_a_refusal_beside_or_after_an_end_is_legal(end: Op) -> None:
    assert found(begin(0, 10), end, use(15, 21, status=401), use(40, 50, status=401)) == []


def test_an_end_that_was_begun_before_a_session_may_still_end_it() -> None:
    for end in (
        change("end_all", 5, 30),
        change("disable", 5, 30),
        change("end_all", 1, 2, status=0),
    ):
        assert found(end, begin(10, 20), use(40, 50, status=401)) == []
        assert found(end, begin(10, 20), use(40, 50)) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.did)
def test_a_refusal_before_an_end_was_begun_is_found(end: Op) -> None:
    assert found(begin(0, 10), end, use(11, 19, status=401)) == [("uncalled_for", "use")]


def test_enabling_revives_no_session() -> None:
    history = begin(0, 10), change("disable", 20, 30), change("enable", 40, 50)
    assert found(*history, use(60, 70)) == [("ended", "use")]
    assert found(*history, begin(60, 70, TWO), use(80, 90, TWO)) == []


def test_the_earliest_end_of_several_counts() -> None:
    ends = change("end_all", 60, 70), change("end_all", 20, 30), change("end_all", 40, 90)
    assert found(begin(0, 10), *ends, use(31, 32)) == [("ended", "use")]


def test_a_permission_that_was_withdrawn_opens_nothing() -> None:
    withdrawn = begin(0, 10), change("permit", 20, 30)
    assert found(*withdrawn, use(31, 40, demands=True)) == [("withdrawn", "use")]
    assert found(*withdrawn, use(31, 40)) == []
    assert found(*withdrawn, use(31, 40, status=403, demands=True)) == []
    assert found(*withdrawn, use(15, 25, demands=True), use(29, 40, demands=True)) == []


def test_a_permission_that_was_given_back_opens_again() -> None:
    history = begin(0, 10), change("permit", 20, 30), change("permit", 40, 50, value=1)
    assert found(*history, use(35, 39, demands=True)) == [("withdrawn", "use")]
    assert found(*history, use(35, 41, demands=True), use(60, 70, demands=True)) == []
    again = change("permit", 80, 90)
    assert found(*history, again, use(91, 95, demands=True)) == [("withdrawn", "use")]
    assert found(*history, again, use(85, 95, demands=True)) == []


def test_two_changes_at_once_may_have_come_in_either_order() -> None:
    at_once = change("permit", 20, 40), change("permit", 30, 50, value=1)
    assert found(begin(0, 10), *at_once, use(60, 70, demands=True)) == []


def test_a_change_without_an_answer_may_happen_at_any_time_after() -> None:
    unsure = change("permit", 20, 25, value=1, status=503)
    withdrawn = change("permit", 30, 40)
    assert found(begin(0, 10), unsure, withdrawn, use(60, 70, demands=True)) == []
    refused = change("permit", 20, 25, value=1, status=403)
    assert found(begin(0, 10), refused, withdrawn, use(60, 70, demands=True)) == [
        ("withdrawn", "use")
    ]


def test_a_disabled_user_begins_nothing() -> None:
    disabled = change("disable", 20, 30)
    assert found(disabled, begin(31, 40)) == [("disabled", "login")]
    assert found(disabled, begin(29, 40), begin(15, 25, TWO)) == []
    assert found(disabled, change("enable", 35, 45), begin(31, 40)) == []
    assert found(disabled, begin(31, 40, user=BOB)) == []


def test_an_erased_user_begins_nothing_ever_again() -> None:
    erased = change("erase", 20, 30)
    assert found(erased, begin(31, 40)) == [("disabled", "login")]
    assert found(erased, begin(900, 910)) == [("disabled", "login")]
    assert found(erased, begin(29, 40), begin(31, 40, user=BOB)) == []


def test_a_secret_opens_from_its_change_to_the_next() -> None:
    changed = change("secret", 20, 30, value=1)
    assert found(changed, begin(31, 40)) == [("old_secret", "login")]
    assert found(changed, begin(29, 40), begin(25, 28, TWO, secret=1)) == []
    assert found(changed, begin(10, 19, secret=1)) == [("old_secret", "login")]


def test_it_says_by_how_much_a_success_came_too_late() -> None:
    history = begin(0, 10), change("end_all", 20, 1_000_000), use(3_500_000, 4_000_000)
    assert [f"{wrong}" for wrong in check(history)] == ["ended: use by one, 2.50 ms"]


@pytest.mark.parametrize("end", ENDS, ids=lambda op: op.did)
def test_a_grant_in_a_session_that_is_over_is_wrong(end: Op) -> None:
    late = grant(40, 50, secret=end.value)
    wrong = {kind for kind, _ in found(grant(0, 10), end, late)}
    assert "ended" in wrong
    assert found(grant(0, 10), end, grant(25, 50, secret=end.value)) == []


def test_a_session_of_grants_began_with_the_first_wherever_that_is_noted() -> None:
    end = change("end_session", 20, 30, target=ONE)
    assert ("ended", "use") in found(grant(40, 50), use(60, 70), end, grant(0, 10))


def test_a_grant_for_a_secret_that_was_replaced_is_wrong() -> None:
    after = change("secret", 20, 30, value=1)
    assert found(after, grant(40, 50, TWO)) == [("old_secret", "grant")]
    assert found(after, grant(40, 50, TWO, secret=1)) == []
