"""A session as its owner's programs share it, and a request that shows what belongs to it.

Knows what is owed to a network that delays and copies, and neither people nor a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    import random

    from tests.simulation.clocks import OwnClock
    from tests.simulation.people import Person

LATE_S: Final = 4.0
"""A request or its copy arrives so long after it was sent, or never."""
PATIENCE_S: Final = 5.0
"""After which a client takes an answer for lost."""
DECIDED_S: Final = 4.0
"""So long after its arrival a request is decided, or never."""
DUPLICATE_S: Final = 10.0
"""How long after its rotation a retired token may come late; the rules' figure."""
OLD_ACCESS_S: Final = 1800.0
"""From which age on an access token may be refused by whoever's clock is off."""


class Family(msgspec.Struct, eq=False):
    """A session as its owner's tabs share it; times in seconds of the loop."""

    owner: Person
    clock: OwnClock
    """The device's, which what is measured here isn't measured by."""
    user_key: str
    session_id: str
    token: str
    access_token: str
    generation: int = 1
    usable_from: float = 0.0
    rotatable_from: float = 0.0
    access_at: float = 0.0
    last_good_at: float = 0.0
    began_at: float = 0.0
    asked_to_rotate: int = 0
    """The generation whose rotation was asked for and not yet answered."""
    asked_at: float = 0.0
    sent_at: float = 0.0
    """When a token of the present generation was last sent."""
    stolen: bool = False
    ended_by_owner: bool = False
    beyond: bool = False
    """Nothing was heard for all of the retry window: what follows is nobody's fault."""
    over: bool = False
    away_until: float = 0.0
    """Until then no program is at it."""
    missed: int = 0
    """The newest generation whose rotation was asked for and not heard of."""

    def heard(self, token: str, generation: int, now: float) -> None:
        """Take a successor."""
        if generation <= self.generation:
            return
        until = self.sent_at + LATE_S + DECIDED_S
        self.usable_from = now if until <= self.asked_at + DUPLICATE_S else until
        # What shows the token before must not find it two generations old.
        self.rotatable_from = until
        self.token, self.generation = token, generation
        self.asked_to_rotate = 0


class Request(msgspec.Struct, eq=False):
    """One request; `family` is whose token it shows, `honest` whether its owner sends it."""

    label: str
    method: str
    path: str
    body: bytes = b""
    bearer: str = ""
    source: str = "127.0.0.1"
    agent: bytes = b"browser"
    family: Family | None = None
    generation: int = 0
    rotate: bool = False
    honest: bool = True
    user_key: str = ""
    access_at: float = 0.0
    copied: bool = False
    route: str = ""
    """The path without what was drawn; empty when nothing was."""
    name: str = ""
    """The user_id that it is about."""
    secret: str = ""
    """The user_secret that it shows."""
    new_secret: str = ""
    target: str = ""
    """Whom it is about, as an administrator's."""
    change: str = ""
    """The event that it asks for."""
    gives: tuple[str, ...] = ()
    """The permissions that the target is to have."""
    needs: str = ""

    @property
    def told(self) -> str:
        """The path as it is the same in each run of a plan."""
        return self.route or self.path


def rest(rng: random.Random) -> float:
    """How long somebody does something else: seconds, minutes, hours, and now and then a day."""
    kind = rng.random()
    if kind < 0.6:
        return rng.uniform(0.1, 3)
    if kind < 0.85:
        return rng.uniform(5, 90)
    if kind < 0.96:
        return rng.uniform(100, 4_000)
    return rng.uniform(3_600, 150_000)
