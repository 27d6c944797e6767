"""Rules broken on purpose, which the simulation has to notice.

Each is a small change of the product's own code, as somebody might make it by mistake. Knows which
kind of violation it leads to, and no run.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

import msgspec

from app.eventstore.log import Append, EventLog
from domain import events, session_rules
from domain.errors import InvalidToken
from projections.token_lookup import TokenLookup
from tests import server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from app.bootstrap import Service
    from domain import commands
    from domain.policy import Policy
    from domain.stream import Recorded
    from domain.user import User
    from projections.storage import Rows

_present: Final = session_rules.present_retired
_apply: Final = TokenLookup.apply


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
        "a view without repeats",
        frozenset({"view"}),
        lambda: patch.object(TokenLookup, "apply", _but_repeats),
    ),
)
