"""Random histories of one user: wishes decided one after another while the clock moves.

What no command makes yet (a rotation, a change of secret, an erasure) happens as a bare fact,
where it could happen.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar, get_args

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

T = TypeVar("T")

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

KINDS: tuple[type[Command] | FactKind, ...] = (
    *(commands.StartSession,) * 9,
    *(commands.RecordUse,) * 6,
    *(commands.EndSession,) * 2,
    *(kind for kind in USER_COMMANDS if kind not in {commands.StartSession, commands.RecordUse}),
    *get_args(FactKind),
    *("enabled", "rotated"),
)
MOMENTS = (*(0, 1, SECOND) * 5, *(DAY // 10, DAY) * 2, 3 * DAY - 1, 3 * DAY, 11 * DAY)
BACK = (0, 0, 0, 1, 1, 2, 3, 5)
BY: tuple[events.LoggedInBy, ...] = ("secret", "secret", "page", "client_credentials")
WHY: tuple[events.RevokedWhy, ...] = get_args(events.RevokedWhy)
REASONS: tuple[commands.UseReason, ...] = get_args(commands.UseReason)
PERMISSIONS = ("a", "b", "admin", "c:d", "e", "WRONG")


def read_plan(random: bytes) -> list[Step]:
    """Steps, one from every four bytes; where the first two are 255, the user is erased.

    Bytes, since they are drawn ten times as fast as the steps would be.
    """
    plan: list[Step] = []
    for when, which, whose, how in zip(*[iter(random)] * 4, strict=False):
        after, kind, back = _pick(MOMENTS, when), _pick(KINDS, which), _pick(BACK, whose)
        if when == which == 255:
            plan.append(Step(after, Fact("erased", 0)))
        elif isinstance(kind, str):
            plan.append(Step(after, Fact(kind, back)))
        else:
            some = tuple(_pick(PERMISSIONS, how // place) for place in range(1, 1 + how % 4))
            plan.append(
                Step(
                    after,
                    Wish(
                        kind=kind,
                        session=back,
                        by=_pick(BY, how),
                        reason=_pick(REASONS, how),
                        why=_pick(WHY, how),
                        stale=how % 8 == 7,
                        permissions=some,
                    ),
                )
            )
    return plan


def _pick(choices: tuple[T, ...], number: int) -> T:
    return choices[number % len(choices)]


_living = st.binary(min_size=80, max_size=200)
_dying = st.tuples(_living, st.binary(max_size=24)).map(
    lambda parts: parts[0][: len(parts[0]) // 4 * 4] + b"\xff" * 4 + parts[1]
)
plans = st.one_of(_living, _living, _dying).map(read_plan)


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
    first = Step(0, Wish(commands.RegisterUser, 0, "secret", "first", "owner", False, ()))
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


def _happen(fact: Fact, state: User, begun: int) -> tuple[Event, ...]:
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
