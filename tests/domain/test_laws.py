"""What holds of every history, whatever was wished in whatever order."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import commands, events
from domain.aggregate import KEYS, OF_LOG, USER, Aggregate
from domain.codec import decode, encode
from domain.commands import Command
from domain.decider import is_live
from domain.errors import GatebookError
from domain.events import Event
from domain.sealed import Clear
from domain.stream import LOG, SIGNING_KEYS, Recorded
from tests.domain.histories import POLICY, USER_COMMANDS, Step, attempt, live_through, plans
from tests.domain.samples import ANY_EVENT, SAMPLES
from tests.domain.specification import ADA, META, T0, seal, session_id

MANY = settings(max_examples=300)
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
    assert leaves(commands.UserCommand) == set(USER_COMMANDS)
    assert leaves(Command) - set(USER_COMMANDS) == {commands.AddSigningKey, commands.OpenLog}


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
        command, outcome = decision.command, decision.outcome
        if isinstance(command, commands.RecordUse) and command.session_id in revoked:
            assert isinstance(outcome, GatebookError)
        for event in outcome if isinstance(outcome, tuple) else ():
            subject = getattr(event, "session_id", None)
            assert subject not in revoked
            if isinstance(event, events.RefreshTokenRevoked):
                revoked.add(event.session_id)
        assert not revoked & decision.after.sessions.keys()


@MANY
@given(plans)
def test_whoever_isnt_active_gets_no_session_and_records_no_use(plan: list[Step]) -> None:
    """Security rule 17."""
    for decision in live_through(plan).decisions:
        if decision.before.status != "active" and isinstance(decision.outcome, tuple):
            made = {type(event) for event in decision.outcome}
            if decision.command is not None and decision.before.status != "unknown":
                assert not made & {events.UserLoggedIn, events.RefreshTokenUsed}
        if decision.after.status == "erased":
            assert not decision.after.sessions
            assert not decision.after.permissions


@MANY
@given(plans)
def test_no_use_is_recorded_of_a_session_past_its_limits(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        if isinstance(decision.command, commands.RecordUse) and isinstance(decision.outcome, tuple):
            session = decision.before.sessions[decision.command.session_id]
            assert is_live(session, POLICY, decision.now)
            assert session.generation == decision.command.generation


@given(plans)
def test_deciding_twice_on_one_state_says_the_same_and_leaves_it(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        if decision.command is None:
            continue
        before = msgspec.msgpack.encode(decision.before)
        again = attempt(decision.before, decision.command, decision.now)
        if isinstance(again, GatebookError):
            assert type(again) is type(decision.outcome)
            assert vars(again) == vars(decision.outcome)
        else:
            assert again == decision.outcome
        assert msgspec.msgpack.encode(decision.before) == before
        restored = msgspec.msgpack.decode(before, type=type(decision.before))
        from_snapshot = attempt(restored, decision.command, decision.now)
        if isinstance(again, tuple):
            assert from_snapshot == again


IDEMPOTENT = (
    commands.EndSession,
    commands.SetPermissions,
    commands.GrantPermissions,
    commands.WithdrawPermissions,
)


@given(plans)
def test_what_is_so_already_isnt_recorded_again(plan: list[Step]) -> None:
    for decision in live_through(plan).decisions:
        if isinstance(decision.command, IDEMPOTENT) and isinstance(decision.outcome, tuple):
            assert attempt(decision.after, decision.command, decision.now) == ()


@given(plans)
def test_what_was_decided_is_stored_sealed_and_comes_back(plan: list[Step]) -> None:
    """Security rule 20."""
    for decision in live_through(plan).decisions:
        for event in decision.outcome if isinstance(decision.outcome, tuple) else ():
            recorded = seal(event)
            fields = msgspec.structs.astuple(recorded)
            assert not any(isinstance(value, Clear) for value in fields)
            form = encode(recorded, META)
            assert b"canary" not in form.clear + (form.sealed or b"")
            assert decode(ADA, 1, 1, T0, form).event == recorded
