"""What holds of every history, whatever was wished in whatever order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import commands, events
from domain.aggregate import KEYS, OF_LOG, USER, Aggregate
from domain.authority import is_administrator
from domain.codec import decode, encode
from domain.commands import Command
from domain.errors import GatebookError, InvalidToken
from domain.events import Event
from domain.permission import ADMIN
from domain.policy import SECOND
from domain.sealed import Clear
from domain.session_rules import is_live
from domain.stream import LOG, SIGNING_KEYS, Recorded
from tests.domain.histories import (
    LAST_COMMANDS,
    POLICY,
    USER_COMMANDS,
    Step,
    attempt,
    live_through,
    plans,
)
from tests.domain.samples import ANY_EVENT, SAMPLES
from tests.domain.specification import ADA, META, T0, seal, session_id

MANY = settings(max_examples=200)
OF_A_TOKEN = (commands.RecordUse, commands.RotateToken, commands.PresentRetired)
ENDS_SESSIONS = (commands.ChangeSecret, commands.ResetSecret, commands.EndSessions)
KEYS_AND_LOG = {
    commands.AddSigningKey,
    commands.RotateSigningKey,
    commands.RetireSigningKey,
    commands.OpenLog,
    commands.RestoreLog,
}
ERASING = {commands.EraseUser}
"""In the histories an erasure happens as a bare fact."""
STREAMS = [(ADA, USER), (SIGNING_KEYS, KEYS), (LOG, OF_LOG)]


def kept(aggregate: Aggregate[Any], state: object) -> object:
    """A state as a snapshot gives it back."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=aggregate.state)


def same_from_every_snapshot(aggregate: Aggregate[Any], history: list[Recorded]) -> None:
    whole = aggregate.fold(history)
    state = aggregate.state()
    for cut in range(len(history) + 1):
        snapshot = kept(aggregate, state)
        assert snapshot == state
        assert aggregate.fold(history[cut:], snapshot) == whole
        if cut < len(history):
            state = aggregate.evolve(state, history[cut])


def leaves(cls: type[Command]) -> set[type[Command]]:
    below = cls.__subclasses__()
    return set().union(*map(leaves, below)) if below else {cls}


def test_every_command_of_a_user_has_its_place_in_the_histories() -> None:
    assert leaves(commands.UserCommand) == {*USER_COMMANDS} | ERASING
    assert leaves(Command) - {*USER_COMMANDS} - ERASING == KEYS_AND_LOG


@MANY
@given(plans)
def test_a_user_is_the_same_from_every_snapshot(plan: list[Step]) -> None:
    history = live_through(plan)
    same_from_every_snapshot(USER, history.recorded)
    assert USER.fold(history.recorded) == history.decisions[-1].after


unordered = st.lists(st.tuples(ANY_EVENT, st.integers(0, 400 * 86_400_000_000)), max_size=12)
few_names = st.sampled_from(
    [
        *(event for event, _ in SAMPLES),
        *(events.UserLoggedIn(session_id(n), "secret") for n in range(3)),
        *(events.RefreshTokenIssued(session_id(n), T0 + n) for n in range(3)),
        *(events.RefreshTokenRevoked(session_id(n), "owner") for n in range(3)),
    ]
)
tangled = st.lists(st.tuples(few_names, st.integers(0, 9)), max_size=25)


@pytest.mark.parametrize(("stream", "aggregate"), STREAMS)
@given(told=st.one_of(unordered, tangled))
def test_events_fold_in_any_order_and_the_same_from_every_snapshot(
    stream: str, aggregate: Aggregate[Any], told: list[tuple[Event, int]]
) -> None:
    time = T0
    history: list[Recorded] = []
    for event, after in told:
        time += after
        place = len(history) + 1
        history.append(Recorded(stream, place, place, time, META, event))
    same_from_every_snapshot(aggregate, history)
    assert aggregate.fold(history).version == len(history)


@given(plans)
def test_versions_are_dense_and_times_never_go_back(plan: list[Step]) -> None:
    history = live_through(plan)
    assert [r.version for r in history.recorded] == list(range(1, len(history.recorded) + 1))
    assert [r.time for r in history.recorded] == sorted(r.time for r in history.recorded)
    assert history.decisions[-1].after.version == len(history.recorded)


@MANY
@given(plans)
def test_a_user_never_has_more_sessions_than_the_cap_and_one_of_service(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        sessions = decision.after.sessions.values()
        assert sum(not session.service for session in sessions) <= POLICY.session_cap
        assert sum(session.service for session in sessions) <= 1


@given(plans)
def test_a_login_that_is_let_in_has_a_live_session(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        if isinstance(decision.command, commands.StartSession) and isinstance(
            decision.outcome, tuple
        ):
            session = decision.after.sessions.get(decision.command.session_id)
            if session is None:
                assert decision.command.by == "client_credentials"
                assert decision.outcome == ()
                session = next(s for s in decision.after.sessions.values() if s.service)
            assert is_live(session, POLICY, decision.now)


@MANY
@given(plans)
def test_a_revoked_session_never_comes_back(plan: list[Step]) -> None:
    """A revoked session never refreshes: no use of it is recorded, and none is rotated."""
    revoked: set[str] = set()
    for decision in live_through(plan).decisions:
        command = decision.command
        if isinstance(command, OF_A_TOKEN) and command.session_id in revoked:
            assert isinstance(decision.outcome, InvalidToken)
        for event in decision.facts:
            subject = getattr(event, "session_id", None)
            assert subject not in revoked
            if isinstance(event, events.RefreshTokenRevoked):
                revoked.add(event.session_id)
        assert not revoked & decision.after.sessions.keys()


@MANY
@given(plans)
def test_whoever_isnt_active_has_no_session_and_gets_none(plan: list[Step]) -> None:
    """Security rule 17."""
    for decision in live_through(plan).decisions:
        if decision.after.status != "active":
            assert not decision.after.sessions
        if decision.before.status not in {"active", "unknown"}:
            assert not {"session_id", "secret_version"} & {
                field for event in decision.facts for field in type(event).__struct_fields__
            }
        if decision.after.status == "erased":
            assert not decision.after.permissions


@MANY
@given(plans)
def test_no_token_is_good_in_a_session_past_its_limits(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        command = decision.command
        if isinstance(command, OF_A_TOKEN) and isinstance(decision.outcome, tuple):
            session = decision.before.sessions[command.session_id]
            assert is_live(session, POLICY, decision.now)
            assert command.generation <= session.generation
            retired = command.generation < session.generation
            if isinstance(command, commands.PresentRetired):
                assert retired
            elif retired:
                assert decision.outcome == ()


@MANY
@given(plans)
def test_a_rotation_never_skips_a_generation(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        rotated = {
            event.session_id: event.generation
            for event in decision.facts
            if isinstance(event, events.RefreshTokenRotated)
        }
        for session_id_, session in decision.after.sessions.items():
            before = decision.before.sessions.get(session_id_)
            generation = before.generation if before else 0
            assert session.generation == rotated.get(session_id_, generation or 1)
            assert session.generation - generation <= 1


@MANY
@given(plans)
def test_a_session_keeps_its_numbers_and_its_times_in_order(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        for session_id_, session in decision.after.sessions.items():
            assert 0 <= session.used_generation <= session.generation
            assert session.started_at <= session.rotated_at <= session.last_used_at <= decision.now
            assert session.expires_at == session.started_at + POLICY.session_max
            before = decision.before.sessions.get(session_id_, session)
            assert before.used_generation <= session.used_generation
            assert before.last_used_at <= session.last_used_at
            moved = before.last_used_at < session.last_used_at
            assert not moved or is_live(before, POLICY, decision.now)


@MANY
@given(plans)
def test_no_retired_generation_is_good_but_the_one_just_before(plan: list[Step]) -> None:
    """And that one only until its successor is used, in its window; all else is reuse."""
    used: set[tuple[str, int]] = set()
    for decision in live_through(plan).decisions:
        command = decision.command
        if isinstance(command, commands.PresentRetired):
            session = decision.before.sessions.get(command.session_id)
            age = decision.now - session.rotated_at if session else 0
            just_before = session is not None and command.generation == session.generation - 1
            reused = events.RefreshTokenReuseDetected(command.session_id, command.generation)
            if isinstance(decision.outcome, GatebookError):
                assert isinstance(decision.outcome, InvalidToken)
                refused_as_late = just_before and age < 10 * SECOND
                assert decision.outcome.reason != "retired" or refused_as_late
            elif reused in decision.outcome:
                assert not (just_before and age < 10 * SECOND)
            else:
                assert just_before
                assert age < POLICY.retry_window
                assert (command.session_id, command.generation + 1) not in used
        for event in decision.facts:
            if isinstance(event, events.RefreshTokenUsed):
                used.add((event.session_id, event.generation))


@MANY
@given(plans)
def test_a_reuse_ends_that_session_and_changes_nothing_else(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        for event in decision.facts:
            if isinstance(event, events.RefreshTokenReuseDetected):
                ended = events.RefreshTokenRevoked(event.session_id, "reuse")
                assert decision.outcome == (event, ended)
                left = dict(decision.before.sessions)
                del left[event.session_id]
                assert decision.after == msgspec.structs.replace(
                    decision.before, version=decision.before.version + 2, sessions=left
                )


@MANY
@given(plans)
def test_no_session_but_the_kept_one_survives_a_change_of_secret(plan: list[Step]) -> None:
    """Security rule 17: nor the end of all sessions, where it was let happen."""
    for decision in live_through(plan).decisions:
        changed = any(isinstance(event, events.UserSecretChanged) for event in decision.facts)
        moved = decision.after.secret_version - decision.before.secret_version
        assert changed == (moved == 1 and decision.before.status != "unknown")
        if isinstance(decision.command, ENDS_SESSIONS) and isinstance(decision.outcome, tuple):
            kept_one = getattr(decision.command, "keep", None)
            assert decision.after.sessions.items() <= decision.before.sessions.items()
            assert decision.after.sessions.keys() == decision.before.sessions.keys() & {kept_one}


@MANY
@given(plans)
def test_only_who_may_changes_anybody_over_http(plan: list[Step]) -> None:
    """And nobody but an administrator changes one, or makes one, or unmakes the last."""
    for decision in live_through(plan).decisions:
        command, before, after = decision.command, decision.before, decision.after
        if not isinstance(command, commands.AdministrativeCommand) or command.by is None:
            continue
        if not isinstance(decision.outcome, tuple):
            assert before == after
            continue
        asking = decision.others.asking
        held = {each for each in command.by.permissions if each in asking.permissions}
        assert asking.status == "active"
        assert held & {"users:write", ADMIN}
        if ADMIN not in held:
            assert ADMIN not in before.permissions
            assert set(after.permissions) <= set(before.permissions) | held
        if not decision.others.another_administrator:
            assert is_administrator(after) or not is_administrator(before)


@given(plans)
def test_nothing_is_ever_recorded_of_who_was_erased(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        if decision.before.status == "erased":
            assert not decision.facts
        if isinstance(decision.command, LAST_COMMANDS) and decision.facts:
            ended = (
                events.RefreshTokenRevoked(each, "erased") for each in decision.before.sessions
            )
            assert decision.facts == (*ended, events.UserErased())


@given(plans)
def test_deciding_twice_on_one_state_says_the_same_and_leaves_it(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        before = msgspec.msgpack.encode(decision.before)
        again = attempt(decision.before, decision.command, decision.now, decision.others)
        if isinstance(again, GatebookError):
            assert type(again) is type(decision.outcome)
            assert vars(again) == vars(decision.outcome)
        else:
            assert again == decision.outcome
        assert msgspec.msgpack.encode(decision.before) == before
        restored = msgspec.msgpack.decode(before, type=type(decision.before))
        from_snapshot = attempt(restored, decision.command, decision.now, decision.others)
        if isinstance(again, tuple):
            assert from_snapshot == again


IDEMPOTENT = (
    commands.RotateToken,
    commands.EndSession,
    commands.EndSessions,
    commands.RehashSecret,
    commands.DisableUser,
    commands.EnableUser,
    commands.EraseUser,
    commands.SetPermissions,
    commands.ChangePermissions,
    commands.GrantPermissions,
    commands.WithdrawPermissions,
)


@given(plans)
def test_what_is_so_already_isnt_recorded_again(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        if isinstance(decision.command, IDEMPOTENT) and isinstance(decision.outcome, tuple):
            again = attempt(decision.after, decision.command, decision.now, decision.others)
            assert again == ()


@given(plans)
def test_what_was_decided_is_stored_sealed_and_comes_back(plan: list[Step]) -> None:
    """Security rule 20."""
    for decision in live_through(plan).decisions:
        for event in decision.facts:
            recorded = seal(event)
            fields = msgspec.structs.astuple(recorded)
            assert not any(isinstance(value, Clear) for value in fields)
            form = encode(recorded, META)
            assert b"canary" not in form.clear + (form.sealed or b"")
            assert decode(ADA, 1, 1, T0, form).event == recorded
