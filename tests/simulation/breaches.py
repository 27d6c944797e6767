"""Rules broken on purpose, which the simulation has to notice.

Each is a small change of the product's own code, as somebody might make it by mistake. Knows which
kind of violation it leads to, and no run.
"""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

import msgspec

from app import issuing, live, sessions, throttle, traces
from app.administration import Directory
from app.buckets import Limit
from app.eventstore.log import Append, EventLog
from app.grants import Grants
from app.http import user
from app.http.auth import caller_of
from app.issuing import Issuer
from app.known_networks import Network
from app.opening import Opener
from app.tokens import access_token
from app.vault import FORGET_PERSON_KEYS, FREE_NAME
from app.writer import Writer
from domain import authority, events, permission, session_rules
from domain.errors import InvalidToken
from domain.policy import CLOCK_TOLERANCE, Policy
from projections import daily_activity
from projections.storage import Lost
from projections.token_lookup import TokenLookup
from tests import server
from tests.breaches import PREFIX
from tests.simulation import mixed_up

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from app.bootstrap import Service
    from app.eventstore.record import Record
    from app.writer import Answer, Wish
    from domain import commands
    from domain.stream import Recorded
    from domain.user import Session, User
    from projections.storage import Rows, Statement
    from projections.token_lookup import TokenRow

_present: Final = session_rules.present_retired
_ends_at: Final = Policy.ends_at
_apply: Final = TokenLookup.apply
_end_all: Final = session_rules.end_all
_make_room: Final = session_rules._make_room
_forget: Final = traces.forget
_issue: Final = Issuer.issue
_implies: Final = permission.implies
_check: Final = access_token.check
_LAST_ALONE: Final = re.sub(r"= daily_activity_v1\.\w+ \+", "=", daily_activity._COUNT)


class Breach(NamedTuple):
    """What is broken, and the kinds of violation that show it.

    `patched` changes the code of all processes; `environ` is as the tests' own server takes it.
    """

    name: str
    kinds: frozenset[str]
    patched: Callable[[], AbstractContextManager[Any]] = nullcontext
    environ: Mapping[str, str] = {}

    @contextmanager
    def made(self) -> Iterator[Callable[[Service], None]]:
        """In force until the end of `with`; what is given is done to each service that starts."""
        environ = {f"{PREFIX}{name}": value for name, value in self.environ.items()}
        with self.patched():

            def started(service: Service) -> None:
                server.meddle(service, environ)

            yield started


def _unending_grace(
    user: User, command: commands.PresentRetired, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    session = user.sessions.get(command.session_id)
    if session is not None:
        unused = msgspec.structs.replace(session, used_generation=0)
        sessions = {**user.sessions, command.session_id: unused}
        user = msgspec.structs.replace(user, sessions=sessions)
    return _present(user, command, policy, now)


def _no_grace(
    user: User, command: commands.PresentRetired, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    return _present(user, command, msgspec.structs.replace(policy, retry_window=0), now)


def _half_the_grace(
    user: User, command: commands.PresentRetired, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    half = msgspec.structs.replace(policy, retry_window=policy.retry_window // 2)
    return _present(user, command, half, now)


def _ends_late(self: Policy, expires_at: int, last_used_at: int) -> int:
    return _ends_at(self, expires_at, last_used_at) + CLOCK_TOLERANCE


def _harmless_reuse(
    user: User, command: commands.PresentRetired, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    found = _present(user, command, policy, now)
    if any(isinstance(each, events.RefreshTokenReuseDetected) for each in found):
        raise InvalidToken(reason="retired")
    return found


def _rotate_again(
    user: User, command: commands.RotateToken, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    del user, policy, now
    return (events.RefreshTokenRotated(command.session_id, command.generation + 1),)


def _but_repeats(self: TokenLookup, rows: Rows, batch: Sequence[Recorded]) -> None:
    kept = [each for each in batch if not isinstance(each.event, events.RefreshTokenRepeated)]
    _apply(self, rows, kept)


def _at_any_time(row: TokenRow, policy: Policy, now: int) -> bool:
    del policy, now
    return row.status == "active" and row.ended_at is None


async def _outliving(self: Issuer, session: issuing.Session, now: int) -> tuple[str, int]:
    endless = msgspec.structs.replace(session, ends_at=2 * now)
    return await _issue(self, endless, now)


@contextmanager
def _limitless() -> Iterator[None]:
    with (
        patch.object(live, "is_live", _at_any_time),
        patch.object(Issuer, "issue", _outliving),
    ):
        yield


def _not_idle(session: Session, policy: Policy, now: int) -> bool:
    del policy
    return now < session.expires_at


def _check_undated(claims: access_token.Claims, *, now: int, **wanted: Any) -> None:
    _check(claims, now=min(now, claims.exp * 1_000_000 - 1), **wanted)


def _ending_nothing(why: str) -> Callable[[], AbstractContextManager[Any]]:
    def end_all(user: User, for_what: str, keep: str | None = None) -> tuple[events.Event, ...]:
        return () if for_what == why else _end_all(user, for_what, keep)  # type: ignore[arg-type]

    return lambda: patch.object(session_rules, "end_all", end_all)


def _forgetting_all_but(sql: str) -> Callable[[], AbstractContextManager[Any]]:
    def forget(*given: Any) -> tuple[Statement, ...]:
        return tuple(each for each in _forget(*given) if each[0] != sql)

    return lambda: patch.object(traces, "forget", forget)


def _newest_goes(
    user: User, policy: Policy, now: int, *, service: bool
) -> tuple[events.Event, ...]:
    surplus = len(_make_room(user, policy, now, service=service))
    by_age = sorted(user.sessions, key=lambda each: user.sessions[each].started_at, reverse=True)
    return tuple(events.RefreshTokenRevoked(each, "limit") for each in by_age[:surplus])


def _one_too_many(
    user: User, policy: Policy, now: int, *, service: bool
) -> tuple[events.Event, ...]:
    more = msgspec.structs.replace(policy, session_cap=policy.session_cap + 1)
    return _make_room(user, more, now, service=service)


@contextmanager
def _implying_for_writers() -> Iterator[None]:
    def implies(held: Collection[str], wanted: str) -> bool:
        return _implies(held, wanted) or (wanted == "admin" and "users:write" in held)

    with ExitStack() as stack:
        for module in (permission, authority, sessions):
            stack.enter_context(patch.object(module, "implies", implies))
        yield


def _as_the_token_has_it(held: Collection[str], token: Collection[str]) -> tuple[str, ...]:
    del held
    return tuple(token)


def _settles_no_more(self: Writer, first: Record) -> None:
    del first
    self._write = _unavailable  # type: ignore[method-assign]


def _unavailable(batch: Sequence[Wish]) -> list[Answer]:
    raise Lost(f"{len(batch)} commands")


BREACHES: Final = (
    Breach(
        "a grace that use doesn't end",
        frozenset({"got in by reuse"}),
        lambda: patch.object(session_rules, "present_retired", _unending_grace),
    ),
    Breach(
        "no grace for a lost answer",
        frozenset({"logged out"}),
        lambda: patch.object(session_rules, "present_retired", _no_grace),
    ),
    Breach(
        "half the grace for a lost answer",
        frozenset({"logged out"}),
        lambda: patch.object(session_rules, "present_retired", _half_the_grace),
    ),
    Breach(
        "reuse that ends nothing",
        frozenset({"reuse goes on"}),
        lambda: patch.object(session_rules, "present_retired", _harmless_reuse),
    ),
    Breach(
        "a refusal before its record",
        frozenset({"not recorded before"}),
        environ={"LATE_RECORD": "0.5"},
    ),
    Breach(
        "an acknowledgement of what isn't stored",
        frozenset({"lost"}),
        lambda: patch.object(EventLog, "holds", lambda *_: True),
    ),
    Breach(
        "a commit without an answer taken for none",
        frozenset({"doubled", "fault", "taken"}),
        lambda: patch.object(EventLog, "holds", lambda *_: False),
    ),
    Breach(
        "a row that is remembered",
        frozenset({"got in again", "got in by reuse"}),
        environ={"LOOKUP_CACHE": "1e9"},
    ),
    Breach(
        "keys that are kept",
        frozenset({"withdrawn key"}),
        environ={"KEEP_KEYS": "1"},
    ),
    Breach(
        "a rotation that isn't checked again",
        frozenset({"doubled"}),
        lambda: patch.object(session_rules, "rotate", _rotate_again),
    ),
    Breach(
        "times as the clock has them",
        frozenset({"time"}),
        lambda: patch.object(Append, "now", lambda append: append.rows.clock()),
    ),
    Breach(
        # Each of the two alone is made up for by the other but at pages, which have tests of their
        # own; and a use that is worth a record is refused by the rules even so.
        "look-ups and tokens that know no limit",
        frozenset({"after its time"}),
        _limitless,
    ),
    Breach(
        # Of the look-up alone nobody has anything: no access token outlives its session.
        "limits a minute late",
        frozenset({"after its time"}),
        lambda: patch.object(Policy, "ends_at", _ends_late),
    ),
    Breach(
        "access tokens that never expire",
        frozenset({"after its time"}),
        lambda: patch.object(access_token, "check", _check_undated),
    ),
    Breach(
        "rules that know no idle limit",
        frozenset({"after its time"}),
        lambda: patch.object(session_rules, "is_live", _not_idle),
    ),
    Breach(
        "a following view that counts its last batch alone",
        frozenset({"followed"}),
        lambda: patch.object(daily_activity, "_COUNT", _LAST_ALONE),
    ),
    Breach(
        "a view without repeats",
        frozenset({"view"}),
        lambda: patch.object(TokenLookup, "apply", _but_repeats),
    ),
    Breach(
        "a user disabled whose sessions go on",
        frozenset({"half"}),
        _ending_nothing("disabled"),
    ),
    Breach(
        "a secret changed that ends nothing",
        frozenset({"half", "lost"}),
        _ending_nothing("secret_changed"),
    ),
    Breach(
        "a secret that is remembered",
        frozenset({"another secret", "let in", "logged out"}),
        environ={"CREDENTIAL_CACHE": "1"},
    ),
    Breach(
        "a name that stays taken",
        frozenset({"name"}),
        _forgetting_all_but(FREE_NAME),
    ),
    Breach(
        "keys of who is erased",
        frozenset({"readable"}),
        _forgetting_all_but(FORGET_PERSON_KEYS),
    ),
    Breach(
        "a name that is told of who is erased",
        frozenset({"readable"}),
        lambda: patch.object(Directory, "_item", mixed_up.remembered_name),
    ),
    Breach(
        "a name that is remembered for everybody",
        frozenset({"somebody else's"}),
        lambda: patch.object(Opener, "user_id", mixed_up.whoever_came_first),
    ),
    Breach(
        "the access token of who asked before",
        frozenset({"somebody else's"}),
        lambda: patch.object(Grants, "grant", mixed_up.whoever_asked_before),
    ),
    Breach(
        "a writer that doesn't come back",
        frozenset({"over"}),
        lambda: patch.object(Writer, "_settle", _settles_no_more),
    ),
    Breach(
        "permissions as the token has them",
        frozenset({"permission"}),
        lambda: patch.object(sessions, "common", _as_the_token_has_it),
    ),
    Breach(
        "permissions given by who has none",
        frozenset({"permission"}),
        lambda: patch.object(authority, "_given", lambda _: ()),
    ),
    Breach(
        "users:write implies admin",
        frozenset({"permission"}),
        _implying_for_writers,
    ),
    Breach(
        "the newest ends at the cap",
        frozenset({"limit"}),
        lambda: patch.object(session_rules, "_make_room", _newest_goes),
    ),
    Breach(
        "one session beyond the cap",
        frozenset({"limit"}),
        lambda: patch.object(session_rules, "_make_room", _one_too_many),
    ),
    Breach(
        "an owner who is a stranger everywhere",
        frozenset({"logged out"}),
        lambda: patch.object(Network, "is_known", lambda *_: False),
    ),
    Breach(
        "three failures that close an account",
        frozenset({"logged out"}),
        lambda: patch.object(throttle, "_STRANGERS", Limit("failures by strangers", 3, 3 / 86_400)),
    ),
    Breach(
        "changes by nobody",
        frozenset({"actor"}),
        lambda: patch.object(user, "_meta", lambda request, _: caller_of(request).meta()),
    ),
    Breach(
        "a last administrator who goes",
        frozenset({"nobody administers"}),
        lambda: patch.object(authority, "check_not_last", lambda *_: None),
    ),
)
