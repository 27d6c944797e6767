"""What a user's events add up to, those too that no command makes."""

from __future__ import annotations

import msgspec
import pytest

from domain import events
from domain.aggregate import KEYS, OF_LOG, USER, aggregate_of
from domain.events import Event
from domain.policy import CLOCK_TOLERANCE, DAY
from domain.sealed import Clear
from domain.stream import LOG, SIGNING_KEYS, Recorded
from domain.user import Session, User
from tests.domain.specification import (
    ADA,
    DISABLED,
    ENABLED,
    ERASED,
    META,
    REGISTERED,
    T0,
    blob,
    login,
    number,
    session_id,
)

ONE = session_id(1)


def user(*told: int | Event) -> User:
    return USER.fold(number(ADA, told))


def test_nothing_has_happened_to_an_unknown_user() -> None:
    assert user() == User(0, "unknown", b"", b"", 0, (), {})


def test_a_registered_user_keeps_its_sealed_values_as_they_are() -> None:
    assert user(REGISTERED) == User(
        version=1,
        status="active",
        user_id=blob(Clear("Ada")),
        secret_hash=blob(Clear("$argon2id$of-ada")),
        secret_version=1,
    )


def test_a_value_that_nobody_sealed_is_not_folded_in() -> None:
    with pytest.raises(TypeError):
        USER.fold([Recorded(ADA, 1, 1, T0, META, REGISTERED)])


def test_a_login_begins_a_session() -> None:
    assert user(REGISTERED, *login(1)).sessions == {
        ONE: Session(T0, T0 + 365 * DAY, T0, T0, service=False, generation=1, used_generation=0)
    }


@pytest.mark.parametrize("by", ["secret", "page"])
def test_only_client_credentials_make_a_service_session(by: events.LoggedInBy) -> None:
    assert user(*login(1, by="client_credentials")).sessions[ONE].service
    assert not user(*login(1, by=by)).sessions[ONE].service


def test_a_use_moves_the_time_and_the_generation_of_the_last_one() -> None:
    used = user(REGISTERED, *login(1), T0 + 9, events.RefreshTokenUsed(ONE, 1)).sessions[ONE]
    assert used == Session(T0, T0 + 365 * DAY, T0 + 9, T0, used_generation=1)


def test_a_rotation_is_the_last_use_of_the_generation_before() -> None:
    told = (REGISTERED, *login(1), T0 + 9, events.RefreshTokenRotated(ONE, 2))
    assert user(*told).sessions[ONE] == Session(
        *(T0, T0 + 365 * DAY, T0 + 9, T0 + 9), generation=2, used_generation=1
    )
    again = user(*told, T0 + 11, events.RefreshTokenRotated(ONE, 3)).sessions[ONE]
    assert again == Session(
        *(T0, T0 + 365 * DAY, T0 + 11, T0 + 11), generation=3, used_generation=2
    )


def test_a_repeat_moves_the_time_of_the_last_use_alone() -> None:
    told = (REGISTERED, *login(1), T0 + 9, events.RefreshTokenRotated(ONE, 2))
    repeated = user(*told, T0 + 11, events.RefreshTokenRepeated(ONE, 1)).sessions[ONE]
    assert repeated == Session(
        *(T0, T0 + 365 * DAY, T0 + 11, T0 + 9), generation=2, used_generation=1
    )


def test_a_detected_reuse_leaves_the_session_as_it_is() -> None:
    """What ends it is an event of its own."""
    before = user(REGISTERED, *login(1))
    after = user(REGISTERED, *login(1), events.RefreshTokenReuseDetected(ONE, 1))
    assert after == msgspec.structs.replace(before, version=4)


def test_a_revoked_session_is_gone_and_the_other_stays() -> None:
    told = (REGISTERED, *login(1), *login(2), events.RefreshTokenRevoked(ONE, "owner"))
    assert set(user(*told).sessions) == {session_id(2)}


@pytest.mark.parametrize(
    "late",
    [
        events.RefreshTokenUsed(ONE, 1),
        events.RefreshTokenRotated(ONE, 2),
        events.RefreshTokenRepeated(ONE, 1),
        events.RefreshTokenIssued(ONE, T0 + DAY),
        events.RefreshTokenRevoked(ONE, "owner"),
    ],
)
def test_no_late_event_brings_a_session_back(late: Event) -> None:
    told = (REGISTERED, *login(1), events.RefreshTokenRevoked(ONE, "owner"), late)
    assert user(*told).sessions == {}


def test_a_changed_secret_has_a_version_and_a_rehashed_one_has_not() -> None:
    changed = user(REGISTERED, events.UserSecretChanged(Clear("b")))
    assert (changed.secret_hash, changed.secret_version) == (blob(Clear("b")), 2)
    rehashed = user(REGISTERED, events.UserSecretRehashed(Clear("c")))
    assert (rehashed.secret_hash, rehashed.secret_version) == (blob(Clear("c")), 1)


def test_permissions_are_those_set_last() -> None:
    told = (events.UserPermissionsSet(("a", "b")), events.UserPermissionsSet(("c",)))
    assert user(REGISTERED, *told).permissions == ("c",)


def test_status_follows_the_last_event() -> None:
    assert user(REGISTERED, DISABLED).status == "disabled"
    assert user(REGISTERED, DISABLED, ENABLED).status == "active"
    assert user(REGISTERED, DISABLED, ERASED).status == "erased"


def test_an_erased_user_has_neither_sessions_nor_permissions() -> None:
    erased = user(REGISTERED, *login(1), events.UserPermissionsSet(("admin",)), ERASED)
    assert (erased.sessions, erased.permissions) == ({}, ())


def test_sessions_past_their_absolute_limit_by_any_clock_go_at_the_next_login() -> None:
    told, over = (REGISTERED, *login(1), *login(2, T0 + 1)), T0 + 365 * DAY + CLOCK_TOLERANCE
    assert set(user(*told, over, DISABLED, ENABLED).sessions) == {ONE, session_id(2)}
    assert set(user(*told, *login(3, over)).sessions) == {session_id(2), session_id(3)}


def test_folding_leaves_the_state_it_began_with_as_it_was() -> None:
    history = number(ADA, (REGISTERED, *login(1), events.RefreshTokenRevoked(ONE, "owner")))
    before = USER.fold(history[:3])
    kept = msgspec.msgpack.encode(before)
    USER.fold(history[3:], before)
    assert msgspec.msgpack.encode(before) == kept


def test_a_stream_belongs_to_one_aggregate() -> None:
    assert aggregate_of(ADA) is USER
    assert aggregate_of(SIGNING_KEYS) is KEYS
    assert aggregate_of(LOG) is OF_LOG
