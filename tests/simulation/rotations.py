"""Rules for rotating refresh tokens, ours and others', behind one question.

A token is its generation, and whoever shows one asks for its successor. Ours are asked as the
writer asks them; the others are what services are known to do. Knows no client and no thief.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec

from domain import commands, session_rules
from domain.errors import InvalidToken
from domain.policy import DAY, SECOND, Policy
from domain.stream import ANONYMOUS, Meta, Recorded
from domain.user import Session, User, evolve

if TYPE_CHECKING:
    from domain.events import Event

Verdict = Literal["good", "retired", "over"]
"""The successor, the same as for others who showed the same token; a refusal that ends nothing;
the end of the session."""

_WHO: Final = "uk_00000000000000000000000000"
_ONE: Final = "0" * 22
_META: Final = Meta(ANONYMOUS, "0" * 32)


class Rules(Protocol):
    """What becomes of one session; times in seconds."""

    def show(self, generation: int, now: float) -> Verdict:
        """Somebody shows the token of a generation and wants the next."""


class Ours:
    """The product's rules, with a retry window of so many seconds."""

    def __init__(self, window_s: float, now: float) -> None:
        began = int(now * SECOND)
        self._policy = Policy(retry_window=int(window_s * SECOND), session_idle=3_650 * DAY)
        session = Session(began, began + 3_650 * DAY, began, began)
        self._user = User(1, "active", sessions={_ONE: session})

    def show(self, generation: int, now: float) -> Verdict:
        session = self._user.sessions.get(_ONE)
        if session is None:
            return "over"
        at = int(now * SECOND)
        try:
            for event in self._decided(session, generation, at):
                version = self._user.version + 1
                recorded = Recorded(_WHO, version, version, at, _META, event)
                self._user = evolve(self._user, recorded)
        except InvalidToken as refusal:
            return "retired" if refusal.reason == "retired" else "over"
        return "good" if _ONE in self._user.sessions else "over"

    def _decided(self, session: Session, generation: int, at: int) -> tuple[Event, ...]:
        if generation == session.generation:
            rotate = commands.RotateToken(_WHO, _ONE, generation)
            return session_rules.rotate(self._user, rotate, self._policy, at)
        show = commands.PresentRetired(_WHO, _ONE, generation, elsewhere=False, seen_at=None)
        return session_rules.present_retired(self._user, show, self._policy, at)


class Theirs:
    """Each token is good once, and the one before the newest for `interval_s` after that.

    Whatever else is shown ends the session.
    """

    def __init__(self, interval_s: float, now: float) -> None:
        self._interval_s = interval_s
        self._generation = 1
        self._rotated_at = now
        self._over = False

    def show(self, generation: int, now: float) -> Verdict:
        if self._over or generation < self._generation - 1:
            self._over = True
        elif generation == self._generation:
            self._generation, self._rotated_at = generation + 1, now
        elif now - self._rotated_at >= self._interval_s:
            self._over = True
        return "over" if self._over else "good"


class Kind(msgspec.Struct, frozen=True):
    """Rules by name; `window_s` is how long the one before the newest may be good."""

    name: str
    window_s: float
    ours: bool = False

    def begin(self, now: float) -> Rules:
        """A session that begins."""
        return Ours(self.window_s, now) if self.ours else Theirs(self.window_s, now)


KINDS: Final = (
    Kind("Gatebook, window 10 s", 10, ours=True),
    Kind("Gatebook, window 60 s", 60, ours=True),
    Kind("Gatebook, window 1 h", 3_600, ours=True),
    Kind("Gatebook, window 1 d", 86_400, ours=True),
    Kind("One use", 0),
    Kind("Reuse interval 10 s", 10),
    Kind("Previous always good", 1e12),
)
