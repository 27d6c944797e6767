"""Each view: which rows its events come to, on each kind of storage."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from domain import events
from domain.catalogue import EVENTS
from domain.policy import REVOCATION_NOTICE
from domain.stream import SIGNING_KEYS
from projections.daily_activity import DailyActivity
from projections.live import newest, read_live
from projections.naming import base_of
from projections.registry import PROJECTIONS
from projections.revocations import Revocations
from projections.runner import Chunk, portion
from projections.token_lookup import TokenLookup
from projections.user_directory import UserDirectory
from tests.projections.history import DAY, START, TABLES, History, fill, whole

if TYPE_CHECKING:
    from domain.stream import Recorded
    from projections.projection import Projection
    from projections.storage import Row, Transaction

ADA, BOB = "uk_ada", "uk_bob"
INLINE = {each.name for each in PROJECTIONS if each.mode == "inline"}


@pytest.fixture
def history() -> History:
    return History()


def directory(rows: Transaction, history: History) -> list[Row]:
    fill(rows, UserDirectory(), history.recorded)
    return whole(rows, "user_directory")


def tokens(rows: Transaction, history: History) -> list[Row]:
    fill(rows, TokenLookup(), history.recorded)
    return whole(rows, "token_lookup")


def revocations(rows: Transaction, history: History) -> list[Row]:
    fill(rows, Revocations(), history.recorded)
    return whole(rows, "revocations")


# --- the user directory: user_key, user_id, secret_hash, secret_version, status, permissions,
# registered_at, registered_position, last_login_at


def test_a_registered_user_is_active_and_has_nothing(rows: Transaction, history: History) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"), origin=b"from")
    assert directory(rows, history) == [
        (ADA, b"name", b"hash", 1, "active", "", START + 1, 1, None)
    ]


def test_a_login_is_the_last_one(rows: Transaction, history: History) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(ADA, events.UserLoggedIn("s1", "secret"), after=5)
    history.then(ADA, events.UserLoggedIn("s2", "page"), after=7)
    assert [row[-1] for row in directory(rows, history)] == [START + 1 + 5 + 7]


def test_a_changed_secret_has_a_new_version_and_a_rehashed_one_has_not(
    rows: Transaction, history: History
) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(BOB, events.UserRegistered(b"other", b"hash"))
    history.then(ADA, events.UserSecretChanged(b"new"))
    history.then(BOB, events.UserSecretRehashed(b"harder"))
    assert [row[2:4] for row in directory(rows, history)] == [(b"new", 2), (b"harder", 1)]


def test_permissions_are_the_last_ones_given(rows: Transaction, history: History) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(ADA, events.UserPermissionsSet(("admin", "users:read")))
    assert [row[5] for row in directory(rows, history)] == ["admin users:read"]
    history.recorded.clear()
    history.then(ADA, events.UserPermissionsSet(()))
    assert [row[5] for row in directory(rows, history)] == [""]


@pytest.mark.parametrize(
    ("events_", "status"),
    [
        ((events.UserDisabled(),), "disabled"),
        ((events.UserDisabled(), events.UserEnabled()), "active"),
    ],
)
def test_a_user_is_disabled_until_enabled(
    rows: Transaction, history: History, events_: tuple[events.Event, ...], status: str
) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(BOB, events.UserRegistered(b"other", b"hash"))
    for event in events_:
        history.then(ADA, event)
    assert [row[4] for row in directory(rows, history)] == [status, "active"]


def test_an_erased_user_leaves_a_row_without_a_person(rows: Transaction, history: History) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(ADA, events.UserPermissionsSet(("admin",)))
    history.then(ADA, events.UserErased())
    assert directory(rows, history) == [(ADA, None, None, 1, "erased", "", START + 1, 1, None)]


# --- token look-up: session_id, user_key, service, started_at, expires_at, generation, rotated_at,
# used_generation, last_used_at, ended_at, ended_why, origin, used_origin


def test_a_login_starts_a_session_of_its_first_generation(
    rows: Transaction, history: History
) -> None:
    at = history.then(ADA, events.UserLoggedIn("s1", "secret"), origin=b"from").time
    history.then(ADA, events.RefreshTokenIssued("s1", at + DAY), origin=b"from")
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at + DAY, 1, at, 0, at, None, None, b"from", None)
    ]


@pytest.mark.parametrize(("by", "service"), [("secret", 0), ("page", 0), ("client_credentials", 1)])
def test_a_session_says_whether_it_is_a_service_s(
    rows: Transaction, history: History, by: events.LoggedInBy, service: int
) -> None:
    history.then(ADA, events.UserLoggedIn("s1", by))
    assert [row[2] for row in tokens(rows, history)] == [service]


def test_a_use_moves_its_session_on_and_no_other(rows: Transaction, history: History) -> None:
    at = history.then(ADA, events.UserLoggedIn("s1", "secret"), origin=b"from").time
    history.then(ADA, events.UserLoggedIn("s2", "secret"))
    used = history.then(ADA, events.RefreshTokenUsed("s1", 1), origin=b"there", after=10).time
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at, 1, at, 1, used, None, None, b"from", b"there"),
        ("s2", ADA, 0, at + 1, at + 1, 1, at + 1, 0, at + 1, None, None, None, None),
    ]


def test_a_rotation_is_the_last_use_of_the_generation_before(
    rows: Transaction, history: History
) -> None:
    at = history.then(ADA, events.UserLoggedIn("s1", "secret"), origin=b"from").time
    history.then(ADA, events.UserLoggedIn("s2", "secret"))
    history.then(ADA, events.RefreshTokenUsed("s1", 1), origin=b"there", after=10)
    rotated = history.then(ADA, events.RefreshTokenRotated("s1", 2), origin=b"here", after=10).time
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at, 2, rotated, 1, rotated, None, None, b"from", b"here"),
        ("s2", ADA, 0, at + 1, at + 1, 1, at + 1, 0, at + 1, None, None, None, None),
    ]
    history.recorded.clear()
    again = history.then(ADA, events.RefreshTokenRotated("s1", 3), after=10).time
    assert tokens(rows, history)[0] == (
        *("s1", ADA, 0, at, at, 3, again, 2, again, None, None, b"from", None),
    )


def test_the_first_use_of_a_successor_is_of_its_generation(
    rows: Transaction, history: History
) -> None:
    at = history.then(ADA, events.UserLoggedIn("s1", "secret")).time
    rotated = history.then(ADA, events.RefreshTokenRotated("s1", 2), after=10).time
    used = history.then(ADA, events.RefreshTokenUsed("s1", 2), origin=b"there", after=10).time
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at, 2, rotated, 2, used, None, None, None, b"there")
    ]


def test_a_repeat_moves_time_and_place_of_the_last_use_alone(
    rows: Transaction, history: History
) -> None:
    at = history.then(ADA, events.UserLoggedIn("s1", "secret"), origin=b"from").time
    history.then(ADA, events.UserLoggedIn("s2", "secret"))
    rotated = history.then(ADA, events.RefreshTokenRotated("s1", 2), origin=b"here", after=10).time
    repeated = history.then(ADA, events.RefreshTokenRepeated("s1", 1), origin=b"there", after=10)
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at, 2, rotated, 1, repeated.time, None, None, b"from", b"there"),
        ("s2", ADA, 0, at + 1, at + 1, 1, at + 1, 0, at + 1, None, None, None, None),
    ]


def test_a_detected_reuse_leaves_the_row_until_its_session_is_revoked(
    rows: Transaction, history: History
) -> None:
    at = history.then(ADA, events.UserLoggedIn("s1", "secret"), origin=b"from").time
    history.then(ADA, events.RefreshTokenReuseDetected("s1", 1), origin=b"there", after=10)
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at, 1, at, 0, at, None, None, b"from", None)
    ]
    history.recorded.clear()
    ended = history.then(ADA, events.RefreshTokenRevoked("s1", "reuse"), origin=b"there").time
    assert tokens(rows, history) == [
        ("s1", ADA, 0, at, at, 1, at, 0, at, ended, "reuse", b"from", None)
    ]


def test_a_session_ends_once(rows: Transaction, history: History) -> None:
    for session in ("s1", "s2"):
        history.then(ADA, events.UserLoggedIn(session, "secret"))
    ended = history.then(ADA, events.RefreshTokenRevoked("s1", "owner")).time
    history.then(ADA, events.RefreshTokenRevoked("s1", "admin"), after=9)
    assert [row[9:11] for row in tokens(rows, history)] == [(ended, "owner"), (None, None)]


def test_erasing_ends_what_the_user_has(rows: Transaction, history: History) -> None:
    for user, session in ((ADA, "s1"), (ADA, "s2"), (BOB, "s3")):
        history.then(user, events.UserLoggedIn(session, "secret"))
    first = history.then(ADA, events.RefreshTokenRevoked("s1", "owner")).time
    erased = history.then(ADA, events.UserErased(), after=9).time
    assert [row[9:11] for row in tokens(rows, history)] == [
        (first, "owner"),
        (erased, "erased"),
        (None, None),
    ]


def test_a_login_removes_the_user_s_sessions_that_are_long_over(
    rows: Transaction, history: History
) -> None:
    def start(user: str, session: str, lasts: int, after: int = 1) -> None:
        login = history.then(user, events.UserLoggedIn(session, "secret"), after=after)
        history.then(user, events.RefreshTokenIssued(session, login.time + lasts), after=0)

    start(ADA, "ran out", DAY)
    start(ADA, "ended", 365 * DAY)
    start(ADA, "runs", 365 * DAY)
    start(BOB, "another's", DAY)
    history.then(ADA, events.RefreshTokenRevoked("ended", "owner"))
    start(ADA, "too soon", 365 * DAY, after=30 * DAY)
    assert [row[0] for row in tokens(rows, history)] == [
        "another's",
        "ended",
        "ran out",
        "runs",
        "too soon",
    ]
    history.recorded.clear()
    start(ADA, "late", 365 * DAY, after=2 * DAY)
    assert [row[0] for row in tokens(rows, history)] == ["another's", "late", "runs", "too soon"]


# --- revocations: position, session_id, kid, until


def test_what_is_revoked_is_told_without_whom_or_why(rows: Transaction, history: History) -> None:
    history.then(ADA, events.UserLoggedIn("s1", "secret"))
    ended = history.then(ADA, events.RefreshTokenRevoked("s1", "owner"), origin=b"from")
    withdrawn = history.then(SIGNING_KEYS, events.SigningKeyWithdrawn("kid"))
    assert revocations(rows, history) == [
        (2, "s1", None, ended.time + REVOCATION_NOTICE),
        (3, None, "kid", withdrawn.time + REVOCATION_NOTICE),
    ]


def test_a_revocation_goes_when_a_later_one_finds_it_over(
    rows: Transaction, history: History
) -> None:
    def end(session: str, after: int) -> None:
        history.then(ADA, events.RefreshTokenRevoked(session, "owner"), after=after)

    end("s1", 1)
    end("s2", REVOCATION_NOTICE)
    assert [row[1] for row in revocations(rows, history)] == ["s1", "s2"]
    history.recorded.clear()
    end("s3", 1)
    assert [row[1] for row in revocations(rows, history)] == ["s2", "s3"]


def test_what_a_batch_itself_finds_over_goes_as_well(rows: Transaction, history: History) -> None:
    for session, after in (("s1", 1), ("s2", 1), ("s3", REVOCATION_NOTICE)):
        history.then(ADA, events.RefreshTokenRevoked(session, "owner"), after=after)
    assert [row[1] for row in revocations(rows, history)] == ["s2", "s3"]


def test_revocations_are_dropped_by_one_statement_a_batch(history: History) -> None:
    for session in ("s1", "s2", "s3"):
        history.then(ADA, events.RefreshTokenRevoked(session, "owner"))
    chunk = Chunk(history.recorded, 3)
    statements = [sql for sql, _ in portion(Revocations(), chunk).statements]
    assert sum("DELETE" in sql for sql in statements) == 1


# --- daily activity: day, registrations, logins, failed logins, uses, revocations


def test_a_day_counts_what_happened_on_it(rows: Transaction, history: History) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(ADA, events.UserLoggedIn("s1", "secret"))
    history.then(ADA, events.RefreshTokenUsed("s1", 1))
    history.then(ADA, events.UserLoginFailed(7, 2, 3))
    history.then(BOB, events.UserRegistered(b"name", b"hash"), after=2 * DAY)
    history.then(ADA, events.RefreshTokenRevoked("s1", "owner"))
    history.then(ADA, events.RefreshTokenRevoked("s2", "owner"))
    fill(rows, DailyActivity(), history.recorded)
    first = START // DAY
    assert whole(rows, "daily_activity") == [(first, 1, 1, 7, 1, 0), (first + 2, 1, 0, 0, 0, 2)]


# --- all of them


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda each: each.name)
def test_a_projection_names_its_version_in_its_tables(projection: Projection) -> None:
    assert projection.wants <= set(EVENTS.values())
    made = [
        name
        for statement in projection.tables
        for name in re.findall(r"(?:TABLE|INDEX) IF NOT EXISTS (\w+)", statement)
    ]
    assert made
    table, *indexes = made
    assert table == base_of(projection.name, projection.version)
    assert all(name.startswith(f"{table}_") for name in indexes)
    assert projection.name in TABLES


def test_each_view_gets_its_share_and_all_reach_the_head(
    rows: Transaction, history: History
) -> None:
    history.then(ADA, events.UserRegistered(b"name", b"hash"))
    history.then(ADA, events.UserLoggedIn("s1", "secret"))
    history.then(ADA, events.RefreshTokenRevoked("s1", "owner"))
    history.then(ADA, events.UserLoginFailed(1, 2, 3))
    read_live(rows, PROJECTIONS).apply(rows, history.recorded)
    assert {name: len(whole(rows, name)) for name in INLINE} == dict.fromkeys(INLINE, 1)
    assert rows.fetch("SELECT name, version, position FROM views ORDER BY name") == [
        (each.name, each.version, 4 if each.name in INLINE else 0)
        for each in sorted(newest(PROJECTIONS), key=lambda each: each.name)
    ]


def test_an_event_that_no_view_wants_moves_the_position_alone(
    rows: Transaction, history: History
) -> None:
    unwanted: Recorded = history.then(ADA, events.RefreshTokenReuseDetected("s1", 1))
    read_live(rows, PROJECTIONS).apply(rows, [unwanted])
    assert {name: whole(rows, name) for name in TABLES} == {name: [] for name in TABLES}
    positions = rows.fetch("SELECT name, position FROM views ORDER BY name")
    assert positions == [(name, int(name in INLINE)) for name in sorted(TABLES)]
