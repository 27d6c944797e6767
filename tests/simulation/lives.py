"""The life of one ordinary client under some rules for rotating, with a thief or without.

It renews its tokens each hour that it is in use, from several tabs that share them without a lock,
over a network that loses requests and answers, and asks again when it can: at once, or after a
night's sleep. Times are in seconds. Knows no rules but by asking them.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.simulation.rotations import Kind

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR
MONTH: Final = 30 * DAY
LOST: Final = 0.005
"""How often a request is lost, and as often an answer."""
COPIED: Final = 0.001
SLOW: Final = 0.03
TOGETHER: Final = 0.3
"""How often all tabs want a new token in the same two seconds."""
TRIES: Final = ((0.75, 1, 10), (0.93, 10, 300), (0.99, 300, 3 * HOUR), (1, 3 * HOUR, 2 * DAY))
"""How long until a client that heard nothing asks again: up to which share, from when, to when."""


class Theft(msgspec.Struct):
    """What became of a stolen token; `in_at` is when the thief first got in."""

    in_at: float | None = None
    ended_at: float | None = None


class Life:
    """A client's month. `rng` decides everything that the rules don't."""

    def __init__(self, kind: Kind, rng: random.Random) -> None:
        self.log_outs = 0
        self.renewals = 0
        self.theft: Theft | None = None
        self._kind = kind
        self._rng = rng
        self._tabs = rng.choice((1, 1, 1, 2, 3))
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = 0
        self._begin(0.0)
        self._at(rng.uniform(0, DAY), self._wake)

    def _begin(self, now: float) -> None:
        self._session = self._kind.begin(now)
        self._held = 1
        self._fresh_until = now + HOUR
        self._stolen = False

    def _at(self, when: float, what: Callable[[float], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (when, self._count, what))

    def run(self) -> Life:
        """To its end: a month, or the end of a session that was stolen."""
        while self._due:
            now, _, what = heapq.heappop(self._due)
            if now > MONTH or (self.theft is not None and self.theft.ended_at is not None):
                break
            what(now)
        return self

    # The owner.

    def _wake(self, now: float) -> None:
        rng = self._rng
        together = rng.random() < TOGETHER
        for _ in range(self._tabs if together else 1):
            self._at(now + rng.uniform(0, 2), self._send)
        # In use for some hours; then a night, or a weekend.
        drawn = rng.random()
        away = rng.uniform(8, 16) if drawn < 0.1 else rng.uniform(30, 70) if drawn < 0.11 else 1.02
        self._at(now + away * HOUR, self._wake)

    def _send(self, now: float) -> None:
        if now < self._fresh_until:
            return
        rng, generation, session = self._rng, self._held, self._session
        arrives = now + self._delay()
        fate = rng.random()
        if rng.random() < COPIED:
            self._at(now + rng.uniform(0, 10), lambda when: self._copy(generation, session, when))
        if fate < LOST:
            self._at(now + self._pause(), self._send)
        else:
            heard = fate > 2 * LOST
            self._at(arrives, lambda when: self._arrive(generation, session, when, heard=heard))

    def _arrive(self, generation: int, session: object, now: float, *, heard: bool) -> None:
        if session is not self._session:
            return
        verdict = self._shown(generation, now)
        if heard:
            self._at(
                now + self._delay(), lambda when: self._hear(generation, session, verdict, when)
            )
        else:
            self._at(now + self._pause(), self._send)

    def _copy(self, generation: int, session: object, now: float) -> None:
        if session is self._session:
            self._shown(generation, now)

    def _hear(self, generation: int, session: object, verdict: str, now: float) -> None:
        if session is not self._session:
            return
        if verdict == "good":
            self.renewals += 1
            if generation >= self._held:
                self._held = generation + 1
            self._fresh_until = now + HOUR
        elif verdict == "retired":
            # Another tab was quicker: what it got is there in a moment.
            self._at(now + 1, self._send)
        else:
            self.log_outs += 1
            self._begin(now)

    def _shown(self, generation: int, now: float) -> str:
        verdict = self._session.show(generation, now)
        if verdict == "over" and self._stolen and self.theft is not None:
            self.theft.ended_at = now
        return verdict

    def _delay(self) -> float:
        slow = self._rng.random() < SLOW
        return self._rng.uniform(0.5, 5) if slow else self._rng.uniform(0.02, 0.2)

    def _pause(self) -> float:
        drawn = self._rng.random()
        _, shortest, longest = next(each for each in TRIES if drawn < each[0])
        return 5 + self._rng.uniform(shortest, longest)

    # The thief.

    def rob(self, at: float, after: float) -> Life:
        """Somebody copies the token then, and uses it so much later and each hour from then on."""
        self._at(at, lambda now: self._steal(now + after))
        return self

    def _steal(self, when: float) -> None:
        self.theft, self._stolen = Theft(), True
        generation, session = self._held, self._session
        self._at(when, lambda now: self._exploit(generation, session, now))

    def _exploit(self, generation: int, session: object, now: float) -> None:
        assert self.theft is not None
        if session is not self._session:
            self.theft.ended_at = now
            return
        verdict = self._shown(generation, now)
        if verdict == "good":
            if self.theft.in_at is None:
                self.theft.in_at = now
            generation += 1
        self._at(now + HOUR, lambda when: self._exploit(generation, session, when))
