"""POST /refresh with `rotate`: successors, retries, duplicates, and reuse."""

from __future__ import annotations

import re
import time

import pytest
import time_machine

from app.audit import EventItem
from domain.refresh_token import format_refresh_token, parse
from tests.http.people import Person, at_once, types
from tests.http.steps import me, problem

DAY = 86_400
ROTATED = "refresh_token.rotated"
REPEATED = "refresh_token.repeated"
USED = "refresh_token.used"
REUSED = ["refresh_token.reuse_detected", "refresh_token.revoked"]


def generation(token: str) -> int:
    parsed = parse(token)
    assert parsed is not None
    return parsed.generation


def rotated(person: Person, token: str | None = None, **more) -> str:
    """The successor."""
    answer = person.rotated(token, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["refresh_token"]


def told(items: list[EventItem]) -> list[tuple[str, object]]:
    """Type and generation of each."""
    return [(each.type, each.data.get("generation")) for each in items]


def refused(answer, reason: str) -> None:
    assert problem(answer, 401, "invalid_token", "reason")["reason"] == reason


def test_rotating_gives_a_successor_of_the_same_session(ada) -> None:
    with ada.recording() as recorded:
        answer = ada.rotated()
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token"}
    assert answer.headers["cache-control"] == "no-store"
    successor = answer.json()["refresh_token"]
    assert re.fullmatch(r"gbr_[0-9A-Za-z]{77}", successor)
    assert successor[4:26] == ada.refresh[4:26] == ada.session_id
    assert generation(successor) == generation(ada.refresh) + 1 == 2
    assert told(recorded) == [(ROTATED, 2)]
    assert me(ada.people.client, answer.json()["access_token"]).status_code == 200
    assert ada.get("/me").status_code == 200  # the access token before is as good as it was
    assert ada.refreshed(successor).status_code == 200


def test_a_chain_of_rotations_counts_on(ada) -> None:
    token = ada.refresh
    with ada.recording() as recorded:
        for expected in range(2, 6):
            token = rotated(ada, token)
            assert generation(token) == expected
    assert told(recorded) == [(ROTATED, each) for each in range(2, 6)]


def test_a_retry_gets_the_same_successor_and_leaves_no_trace(ada) -> None:
    """As when the first answer was lost."""
    first = rotated(ada)
    with ada.recording() as recorded:
        answers = [ada.rotated() for _ in range(3)]
    assert {answer.json()["refresh_token"] for answer in answers} == {first}
    assert len({answer.json()["access_token"] for answer in answers}) == 3
    assert recorded == []


def test_a_retired_token_that_may_still_come_refreshes_without_rotating(ada) -> None:
    successor = rotated(ada)
    answer = ada.refreshed()
    assert (answer.status_code, set(answer.json())) == (200, {"access_token"})
    assert rotated(ada) == successor


def test_64_rotations_at_once_are_one(ada) -> None:
    with ada.recording() as recorded:
        answers = at_once(*[ada.rotated] * 64)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert told(recorded) == [(ROTATED, 2)]


def test_a_delayed_duplicate_is_told_so_and_harms_nobody(ada) -> None:
    """Within 10 seconds of the rotation, though the successor was used."""
    successor = rotated(ada)
    ada.refreshed(successor)
    with ada.recording() as recorded:
        for answer in (ada.refreshed(), ada.rotated()):
            refused(answer, "retired")
    assert recorded == []
    assert ada.refreshed(successor).status_code == 200


def test_an_older_generation_is_reuse_at_once(ada) -> None:
    other = ada.again()
    second = rotated(ada)
    third = rotated(ada, second)
    with ada.recording() as recorded:
        refused(ada.refreshed(), "reused")
    assert types(recorded) == REUSED
    assert recorded[0].data == {"session_id": ada.session_id, "generation": 1}
    assert recorded[1].data == {"session_id": ada.session_id, "why": "reuse"}
    with ada.recording() as recorded:
        for token in (ada.refresh, second, third):
            refused(ada.refreshed(token), "reused")
            refused(ada.rotated(token), "reused")
    assert recorded == []
    refused(ada.get("/me"), "reused")
    assert other.refreshed().status_code == 200  # that session alone


def test_a_generation_that_was_never_issued_is_no_token(ada) -> None:
    """Though only the service's own key could have made it."""
    with ada.people.store() as store:
        key = store.ring.refresh
    unissued = [format_refresh_token(ada.session_id, each, key) for each in (0, 2, 3, 62**6 - 1)]
    assert format_refresh_token(ada.session_id, 1, key) == ada.refresh
    with ada.recording() as recorded:
        for token in unissued:
            problem(ada.refreshed(token), 401, "invalid_token")
            problem(ada.rotated(token), 401, "invalid_token")
            answer = ada.people.client.post("/revoke", json={"refresh_token": token})
            assert (answer.status_code, answer.json()) == (200, {})
    assert recorded == []
    assert ada.refreshed().status_code == 200


@pytest.mark.parametrize(
    "elsewhere", [{"User-Agent": "another"}, {"X-Forwarded-For": "192.0.2.99"}], ids=str
)
def test_a_repeat_from_elsewhere_is_recorded(ada, elsewhere) -> None:
    first = rotated(ada)
    with ada.recording() as recorded:
        assert rotated(ada, headers=elsewhere) == first
        assert rotated(ada, headers=elsewhere) == first
        assert rotated(ada) == first
        assert rotated(ada) == first
    assert told(recorded) == [(REPEATED, 1)] * 2
    told_of = [(each.ip, each.user_agent) for each in recorded]
    assert told_of[0] != told_of[1]
    assert told_of[0][0] == elsewhere.get("X-Forwarded-For", ada.address)
    assert told_of[0][1] == elsewhere.get("User-Agent", told_of[1][1])
    assert told_of[1][0] == ada.address


def test_the_first_use_of_a_successor_is_recorded(ada) -> None:
    """It ends the time in which the token before may come again."""
    successor = rotated(ada)
    with ada.recording() as recorded:
        for _ in range(3):
            assert ada.refreshed(successor).status_code == 200
    assert told(recorded) == [(USED, 2)]
    with ada.recording() as recorded:
        assert ada.rotated(successor).status_code == 200
    assert told(recorded) == [(ROTATED, 3)]


def test_rotating_a_successor_is_its_first_use(ada) -> None:
    third = rotated(ada, rotated(ada))
    refused(ada.refreshed(), "reused")
    refused(ada.refreshed(third), "reused")


def test_where_every_use_is_recorded_so_is_the_first(start_anywhere) -> None:
    ada = start_anywhere.people(REFRESH_AUDIT="every").new()
    with ada.recording() as recorded:
        successor = rotated(ada)
        for _ in range(3):
            ada.refreshed(successor)
    assert told(recorded) == [(ROTATED, 2), *[(USED, 2)] * 3]
    refused(ada.refreshed(), "retired")


def test_every_refresh_rotates_where_that_is_set(start_anywhere) -> None:
    ada = start_anywhere.people(REFRESH_ROTATION="always").new()
    with ada.recording() as recorded:
        token = ada.refresh
        for given in ({}, {"rotate": False}, {"rotate": True}):
            answer = ada.refreshed(token, **given)
            assert set(answer.json()) == {"access_token", "refresh_token"}
            assert (
                ada.refreshed(token, **given).json()["refresh_token"]
                == (answer.json()["refresh_token"])
            )
            token = answer.json()["refresh_token"]
    assert told(recorded) == [(ROTATED, each) for each in (2, 3, 4)]
    refused(ada.refreshed(), "reused")


@pytest.mark.parametrize("which", [0, 1, 2])
def test_any_of_its_tokens_revokes_a_session(ada, which) -> None:
    """Security rule 16; django-rest-framework-simplejwt #863: a rotated one as well."""
    tokens = [ada.refresh, rotated(ada)]
    tokens.append(rotated(ada, tokens[-1]))
    with ada.recording() as recorded:
        for _ in range(2):
            answer = ada.people.client.post("/revoke", json={"refresh_token": tokens[which]})
            assert (answer.status_code, answer.json()) == (200, {})
    assert [each.data for each in recorded] == [{"session_id": ada.session_id, "why": "owner"}]
    for token in tokens:
        refused(ada.rotated(token), "revoked")
    refused(ada.get("/me"), "revoked")


@pytest.mark.parametrize("value", ["true", "yes", 1, 0, None, [], {}], ids=repr)
def test_rotate_is_yes_or_no(ada, value) -> None:
    with ada.recording() as recorded:
        answer = ada.refreshed(rotate=value)
    (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
    assert fault["pointer"] == "/rotate"
    assert recorded == []


def test_an_access_token_is_no_refresh_token_to_a_rotation(ada) -> None:
    """Security rule 14."""
    with ada.recording() as recorded:
        problem(ada.rotated(ada.access), 401, "invalid_token")
    assert recorded == []


def test_a_token_may_come_again_for_a_minute(start) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people().new()
        successor = rotated(ada)
        clock.shift(58)
        assert rotated(ada) == successor
        clock.shift(3)
        with ada.recording() as recorded:
            refused(ada.rotated(), "reused")
        assert types(recorded) == REUSED
        refused(ada.refreshed(successor), "reused")


def test_how_long_a_token_may_come_again_is_a_setting(start) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people(REFRESH_RETRY_WINDOW="15").new()
        successor = rotated(ada)
        clock.shift(13)
        assert rotated(ada) == successor
        clock.shift(3)
        refused(ada.rotated(), "reused")


def test_a_duplicate_is_reuse_when_it_comes_later_than_10_seconds(start) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people().new()
        successor = rotated(ada)
        ada.refreshed(successor)
        clock.shift(8)
        refused(ada.refreshed(), "retired")
        clock.shift(3)
        with ada.recording() as recorded:
            refused(ada.refreshed(), "reused")
        assert types(recorded) == REUSED
        refused(ada.refreshed(successor), "reused")


def test_rotation_never_extends_the_absolute_limit(start) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people(SESSION_IDLE="30d", SESSION_MAX="60d").new()
        token = ada.refresh
        for _ in range(3):
            clock.shift(19 * DAY)
            token = rotated(ada, token)
        clock.shift(4 * DAY)
        refused(ada.rotated(token), "expired")


def test_a_rotation_is_a_use_and_puts_off_the_idle_limit(start) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        ada = start.people().new()
        token = ada.refresh
        for _ in range(3):
            clock.shift(29 * DAY)
            token = rotated(ada, token)
        clock.shift(31 * DAY)
        refused(ada.rotated(token), "expired")
