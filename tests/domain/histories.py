"""Random histories of one user: wishes decided one after another while the clock moves.

Few of them end in an erasure, after which nothing is left to decide.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar, get_args

from hypothesis import strategies as st

from domain import commands, events
from domain.aggregate import USER
from domain.authority import NOBODY_ELSE, Others, is_administrator
from domain.commands import AdministrativeCommand, Authority, Command
from domain.errors import GatebookError
from domain.events import Event
from domain.policy import DAY, SECOND, Policy
from domain.sealed import Clear
from domain.stream import Recorded
from domain.user import Session, Status, User
from tests.domain.specification import ADA, BOB, META, T0, seal, session_id

T = TypeVar("T")

POLICY = Policy(session_idle=3 * DAY, session_max=10 * DAY, session_cap=3, retry_window=5 * SECOND)


class Asker(NamedTuple):
    """Somebody else who administers: what the token shows, and what is so when it is decided."""

    shown: tuple[str, ...]
    held: tuple[str, ...]
    status: Status = "active"


class Wish(NamedTuple):
    """A command to be; `session` counts back among those that haven't ended, or among all.

    `lag` is how many generations behind the current one the token is that is presented as
    retired. An administrative command is of an operator, of the user itself or of an `Asker`;
    `alone`: there is no other administrator than those two.
    """

    kind: type[Command]
    session: int
    by: events.LoggedInBy = "secret"
    reason: commands.UseReason = "first"
    why: events.RevokedWhy = "owner"
    stale: bool = False
    lag: int = 1
    elsewhere: bool = False
    keep: bool = False
    permissions: tuple[str, ...] = ()
    asks: Literal["operator", "itself"] | Asker = "operator"
    alone: bool = False


class Step(NamedTuple):
    """What is wished for `after` so many µs."""

    after: int
    what: Wish


LAST_COMMANDS = (commands.EraseOneself, commands.EraseUser)
LIVING_COMMANDS = (
    commands.RegisterUser,
    commands.StartSession,
    commands.RecordUse,
    commands.RotateToken,
    commands.PresentRetired,
    commands.EndSession,
    commands.EndSessions,
    commands.ChangeSecret,
    commands.ResetSecret,
    commands.RehashSecret,
    commands.DisableUser,
    commands.EnableUser,
    commands.SetPermissions,
    commands.ChangePermissions,
    commands.GrantPermissions,
    commands.WithdrawPermissions,
    commands.RecordFailedLogins,
)
USER_COMMANDS = (*LIVING_COMMANDS, *LAST_COMMANDS)

KINDS: tuple[type[Command], ...] = (
    *LIVING_COMMANDS,
    *(commands.StartSession,) * 13,
    *(commands.RotateToken,) * 9,
    *(commands.PresentRetired,) * 8,
    *(commands.RecordUse,) * 7,
    *(commands.EnableUser,) * 4,
    *(commands.SetPermissions,) * 2,
)
MOMENTS = (
    *(0, 1, SECOND) * 7,
    *(5 * SECOND - 1, 5 * SECOND, 10 * SECOND - 1, 10 * SECOND) * 2,
    *(DAY // 10, DAY) * 2,
    *(3 * DAY - 1, 3 * DAY, 11 * DAY),
)
BACK = (0, 0, 0, 0, 1, 1, 2, 5)
BY: tuple[events.LoggedInBy, ...] = ("secret", "secret", "page", "client_credentials")
WHY: tuple[events.RevokedWhy, ...] = get_args(events.RevokedWhy)
REASONS: tuple[commands.UseReason, ...] = get_args(commands.UseReason)
LAGS = (1, 1, 1, 1, 2, 2, 3, 0, -1)
NO_SESSION = Session(T0, T0, T0, T0)
PERMISSIONS = ("a", "b", "admin", "c:d", "users:write", "admin", "WRONG")
ASKERS: tuple[Literal["operator", "itself"] | Asker, ...] = (
    *("operator",) * 6,
    *("itself",) * 4,
    Asker(("admin",), ("admin",)),
    Asker(("a", "admin"), ("a", "admin", "b")),
    Asker(("a", "users:write"), ("a", "users:write")),
    Asker(("a", "b", "users:write"), ("b", "users:write")),
    Asker(("users:write",), ("admin", "users:write")),
    Asker(("admin", "users:write"), ("users:write",)),
    Asker(("a",), ("a", "admin")),
    Asker(("admin",), ("admin",), "disabled"),
)


def read_plan(random: bytes) -> list[Step]:
    """Steps, one from every five bytes; where the first two are 255, the user is to be erased.

    Bytes, since they are drawn ten times as fast as the steps would be.
    """
    plan: list[Step] = []
    for when, which, whose, how, who in zip(*[iter(random)] * 5, strict=False):
        kinds = LAST_COMMANDS if when == which == 255 else KINDS
        some = tuple(_pick(PERMISSIONS, how // place) for place in range(1, 1 + how % 4))
        wish = Wish(
            kind=_pick(kinds, whose if kinds is LAST_COMMANDS else which),
            session=_pick(BACK, whose),
            by=_pick(BY, how),
            reason=_pick(REASONS, how),
            why=_pick(WHY, how),
            stale=how % 8 == 7,
            lag=_pick(LAGS, how),
            elsewhere=who % 2 == 0,
            keep=who % 4 > 0,
            permissions=some,
            asks=_pick(ASKERS, who),
            alone=who >= 128,
        )
        plan.append(Step(_pick(MOMENTS, when), wish))
    return plan


def _pick(choices: tuple[T, ...], number: int) -> T:
    return choices[number % len(choices)]


_living = st.binary(min_size=100, max_size=250)
_dying = st.tuples(_living, st.binary(max_size=30)).map(
    lambda parts: parts[0][: len(parts[0]) // 5 * 5] + b"\xff" * 5 + parts[1]
)
plans = st.one_of(_living, _living, _dying).map(read_plan)


class Decision(NamedTuple):
    """One step as it went: the state it met, what was true of others, and what came of it."""

    before: User
    command: Command
    now: int
    others: Others
    outcome: tuple[Event, ...] | GatebookError
    after: User

    @property
    def facts(self) -> tuple[Event, ...]:
        """What happened; nothing when it was refused."""
        return self.outcome if isinstance(self.outcome, tuple) else ()


class History(NamedTuple):
    """Everything that happened, and how it was decided."""

    recorded: list[Recorded]
    decisions: list[Decision]


def live_through(plan: list[Step]) -> History:
    """Decide and fold a plan, on a user who registered at `T0`."""
    history = History([], [])
    state, now, begun = User(), T0, 0
    for after, what in [Step(0, Wish(commands.RegisterUser, 0)), *plan]:
        now += after
        begun += what.kind is commands.StartSession
        command = _command(what, state, now, begun)
        others = NOBODY_ELSE
        if isinstance(command, AdministrativeCommand | commands.EraseOneself):
            others = _others(what, state)
        outcome = attempt(state, command, now, others)
        before = state
        for event in outcome if isinstance(outcome, tuple) else ():
            place = len(history.recorded) + 1
            recorded = Recorded(ADA, place, place, now, META, seal(event))
            history.recorded.append(recorded)
            state = USER.evolve(state, recorded)
        history.decisions.append(Decision(before, command, now, others, outcome, state))
    return history


def attempt(
    state: User, command: Command, now: int, others: Others = NOBODY_ELSE
) -> tuple[Event, ...] | GatebookError:
    """What is decided: facts, or the refusal."""
    try:
        return USER.decide(state, command, POLICY, now, others)
    except GatebookError as refusal:
        return refusal


def _others(wish: Wish, state: User) -> Others:
    """What is true of other users; who asks and is an enabled administrator is another one."""
    if not isinstance(wish.asks, Asker):
        return Others(state, not wish.alone)
    asker = User(1, wish.asks.status, permissions=wish.asks.held)
    return Others(asker, not wish.alone or is_administrator(asker))


def _authority(wish: Wish, state: User) -> Authority | None:
    """Who asks; the user itself shows a token that says all that it may."""
    if isinstance(wish.asks, Asker):
        return Authority(BOB, wish.asks.shown)
    return Authority(ADA, state.permissions) if wish.asks == "itself" else None


def _command(wish: Wish, state: User, now: int, begun: int) -> Command:
    kind, some = wish.kind, wish.permissions
    running = list(reversed(state.sessions))
    chosen = (running[wish.session :] or [session_id(max(1, begun - wish.session))])[0]
    session = state.sessions.get(chosen, NO_SESSION)
    current, retired = session.generation - wish.stale, session.generation - wish.lag
    seen_at = session.last_used_at - wish.stale
    version = state.secret_version - wish.stale
    replaced = b"another" if wish.stale else state.secret_hash
    new_hash = Clear(f"canary {state.version}")
    keep = chosen if wish.keep else None
    made: dict[type[Command], tuple[object, ...]] = {
        commands.RegisterUser: (Clear("canary name"), Clear("canary hash")),
        commands.StartSession: (session_id(begun), wish.by, version),
        commands.RecordUse: (chosen, current, wish.reason),
        commands.RotateToken: (chosen, current),
        commands.PresentRetired: (chosen, retired, wish.elsewhere, seen_at),
        commands.EndSession: (chosen, wish.why),
        commands.EndSessions: (wish.why, keep),
        commands.ChangeSecret: (new_hash, version, keep),
        commands.EraseOneself: (version,),
        commands.ResetSecret: (new_hash,),
        commands.RehashSecret: (new_hash, replaced),
        commands.SetPermissions: (some,),
        commands.ChangePermissions: (some[:1], some[1:]),
        commands.GrantPermissions: (some,),
        commands.WithdrawPermissions: (some,),
        commands.RecordFailedLogins: (2, now - 1, now),
    }
    made_of = made.get(kind, ())
    if issubclass(kind, AdministrativeCommand):
        return kind(ADA, *made_of, by=_authority(wish, state))
    return kind(ADA, *made_of)
