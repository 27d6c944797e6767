"""Random histories of one user: wishes decided one after another while the clock moves.

What no command makes yet (a rotation, a change of secret, an erasure) happens as a bare fact,
where it could happen.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from hypothesis import strategies as st

from domain import commands, events
from domain.aggregate import USER
from domain.commands import Command
from domain.errors import GatebookError
from domain.events import Event
from domain.policy import DAY, SECOND, Policy
from domain.sealed import Clear
from domain.stream import Recorded
from domain.user import User
from tests.domain.specification import ADA, META, T0, seal, session_id

POLICY = Policy(session_idle=3 * DAY, session_max=10 * DAY, session_cap=3)

FactKind = Literal["rotated", "repeated", "reuse", "changed", "rehashed", "disabled", "enabled"]


class Wish(NamedTuple):
    """A command to be; `session` counts back from the session that began last."""

    kind: type[Command]
    session: int
    by: events.LoggedInBy
    reason: commands.UseReason
    why: events.RevokedWhy
    stale: bool
    permissions: tuple[str, ...]


class Fact(NamedTuple):
    """An event that needs no decision here."""

    kind: FactKind | Literal["erased"]
    session: int


class Step(NamedTuple):
    """What happens `after` so many µs."""

    after: int
    what: Wish | Fact


USER_COMMANDS = (
    commands.RegisterUser,
    commands.StartSession,
    commands.RecordUse,
    commands.EndSession,
    commands.SetPermissions,
    commands.GrantPermissions,
    commands.WithdrawPermissions,
    commands.RecordFailedLogins,
)

_LIKELY = (commands.StartSession,) * 6 + (commands.RecordUse,) * 4 + (commands.EndSession,) * 2

wishes = st.builds(
    Wish,
    st.sampled_from((*USER_COMMANDS, *_LIKELY)),
    st.integers(0, 5),
    st.sampled_from(get_args(events.LoggedInBy)),
    st.sampled_from(get_args(commands.UseReason)),
    st.sampled_from(get_args(events.RevokedWhy)),
    st.integers(0, 7).map(lambda chance: chance == 0),
    st.lists(st.sampled_from(["a", "b", "admin", "c:d", "WRONG"]), max_size=3).map(tuple),
)
facts = st.builds(Fact, st.sampled_from(get_args(FactKind)), st.integers(0, 5))
moments = st.sampled_from([0, 0, 1, SECOND, DAY // 10, DAY, 3 * DAY - 1, 3 * DAY, 11 * DAY])
steps = st.builds(Step, moments, st.one_of(wishes, wishes, wishes, facts))
plans = st.tuples(
    st.lists(steps, max_size=40),
    st.lists(st.just(Step(0, Fact("erased", 0))), max_size=1),
    st.lists(steps, max_size=6),
).map(lambda plan: [*plan[0], *plan[1], *plan[2]])


class Decision(NamedTuple):
    """One step as it went: the state it met, and what came of it."""

    before: User
    command: Command | None
    now: int
    outcome: tuple[Event, ...] | GatebookError
    after: User


class History(NamedTuple):
    """Everything that happened, and how it was decided."""

    recorded: list[Recorded]
    decisions: list[Decision]


def live_through(plan: list[Step]) -> History:
    """Decide and fold a plan, on a user who registered at `T0`."""
    history = History([], [])
    state, now, begun = User(), T0, 0
    first = Step(0, Wish(commands.RegisterUser, 0, "secret", "first", "owner", False, ()))  # noqa: FBT003
    for after, what in [first, *plan]:
        now += after
        command: Command | None = None
        outcome: tuple[Event, ...] | GatebookError
        if isinstance(what, Fact):
            outcome = _happen(what, state, begun)
        else:
            begun += what.kind is commands.StartSession
            command = _command(what, state, now, begun)
            outcome = attempt(state, command, now)
        before = state
        for event in outcome if isinstance(outcome, tuple) else ():
            place = len(history.recorded) + 1
            recorded = Recorded(ADA, place, place, now, META, seal(event))
            history.recorded.append(recorded)
            state = USER.evolve(state, recorded)
        history.decisions.append(Decision(before, command, now, outcome, state))
    return history


def attempt(state: User, command: Command, now: int) -> tuple[Event, ...] | GatebookError:
    """What is decided: facts, or the refusal."""
    try:
        return USER.decide(state, command, POLICY, now)
    except GatebookError as refusal:
        return refusal


def _command(wish: Wish, state: User, now: int, begun: int) -> Command:
    chosen = session_id(max(1, begun - wish.session))
    session = state.sessions.get(chosen)
    generation = (session.generation if session else 1) - wish.stale
    made: dict[type[Command], Command] = {
        commands.RegisterUser: commands.RegisterUser(
            ADA, Clear("canary name"), Clear("canary hash")
        ),
        commands.StartSession: commands.StartSession(
            ADA, session_id(begun), wish.by, state.secret_version - wish.stale
        ),
        commands.RecordUse: commands.RecordUse(ADA, chosen, generation, wish.reason),
        commands.EndSession: commands.EndSession(ADA, chosen, wish.why),
        commands.SetPermissions: commands.SetPermissions(ADA, wish.permissions),
        commands.GrantPermissions: commands.GrantPermissions(ADA, wish.permissions),
        commands.WithdrawPermissions: commands.WithdrawPermissions(ADA, wish.permissions),
        commands.RecordFailedLogins: commands.RecordFailedLogins(ADA, 2, now - 1, now),
    }
    return made[wish.kind]


def _happen(fact: Fact, state: User, begun: int) -> tuple[Event, ...]:  # noqa: PLR0911 - one case a fact
    chosen = session_id(max(1, begun - fact.session))
    session = state.sessions.get(chosen)
    match fact.kind, state.status:
        case "enabled", "disabled":
            return (events.UserEnabled(),)
        case "disabled", "active":
            return (events.UserDisabled(),)
        case "erased", "active" | "disabled":
            return (events.UserErased(),)
        case "changed", "active" | "disabled":
            return (events.UserSecretChanged(Clear(f"canary {state.version}")),)
        case "rehashed", "active":
            return (events.UserSecretRehashed(Clear(f"canary {state.version}")),)
        case "rotated", "active" if session:
            return (events.RefreshTokenRotated(chosen, session.generation + 1),)
        case "repeated", "active" if session:
            return (events.RefreshTokenRepeated(chosen, session.generation),)
        case "reuse", "active" if session:
            reuse = events.RefreshTokenReuseDetected(chosen, session.generation)
            return (reuse, events.RefreshTokenRevoked(chosen, "reuse"))
        case _:
            return ()
