"""Rules broken on purpose, which the simulation has to notice.

Each is a small change of the product's own code, as somebody might make it by mistake. Knows which
kind of violation it leads to, and no run.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

import msgspec

from app import live
from app.eventstore.log import Append, EventLog
from app.tokens import access_token
from domain import events, session_rules
from domain.errors import InvalidToken
from projections import daily_activity
from projections.token_lookup import TokenLookup
from tests import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from app.bootstrap import Service
    from domain import commands
    from domain.policy import Policy
    from domain.stream import Recorded
    from domain.user import Session, User
    from projections.storage import Rows
    from projections.token_lookup import TokenRow

_present: Final = session_rules.present_retired
_apply: Final = TokenLookup.apply
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
        environ = {f"{server.PREFIX}{name}": value for name, value in self.environ.items()}
        with self.patched():
            yield lambda service: server.meddle(service, environ)


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


def _not_idle(session: Session, policy: Policy, now: int) -> bool:
    del policy
    return now < session.expires_at


def _check_undated(claims: access_token.Claims, *, now: int, **wanted: Any) -> None:
    _check(claims, now=min(now, claims.exp * 1_000_000 - 1), **wanted)


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
        "a look-up that knows no limit",
        # A use that is worth a record is still refused by the rules: as one of no session.
        frozenset({"after its time", "not recorded before"}),
        lambda: patch.object(live, "is_live", _at_any_time),
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
)
