"""How often programs that share a session have renewed its tokens, by what the log says of it.

They must wait for each other: no refresh token is shown twice, but for one whose answer was lost
when the service went away; nobody renews again what another has just renewed; and there are no more
renewals than the tokens' life takes. Where they hear of each other a moment late, a token may be
shown twice in that moment, now and then, and never three times. Whose token is over when it comes
may be excused, where the machine took its time, but seldom. Knows no client.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from domain import events
from domain.policy import SECOND
from tests.prove.load import generation_of, session_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from domain.stream import Recorded
    from tests.prove.tally import Tally

AT_ONCE_S: Final = 0.45
"""Since a renewal was asked for: less than a token of two seconds is good at any client."""
SETTLED_S: Final = 10.0
"""After the service's return: until then somebody may wait for his next try."""
LOST: Final = 1
"""Answers that one absence takes from those of whom only one asks at a time."""
TWICE: Final = "shown twice"
MOMENT_S: Final = 1.0
"""In which who hears late has heard."""
NOW_AND_THEN: Final = 0.2
"""Of a session's renewals, on a machine that has nothing else to do; and one in any case."""
SELDOM: Final = 0.02
"""Of the calls, on such a machine."""
SELDOM_BUSY: Final = 0.2
"""On one that has others to serve."""


Asked = dict[str, dict[str, float]]
"""When each session's refresh tokens were shown first, by generation; seconds since the epoch."""


class Away(NamedTuple):
    """When the service was, in seconds since the epoch."""

    began: float
    ended: float

    def may_lose(self, repeated_at: float) -> bool:
        """Whether it may be for this that a token was shown again."""
        return self.began <= repeated_at <= self.ended + SETTLED_S


def asked_by(shown: Iterable[tuple[str, float]]) -> Asked:
    """When, of refresh tokens and when they were shown."""
    found = defaultdict[str, dict[str, float]](dict)
    for token, when in sorted(shown, key=itemgetter(1), reverse=True):
        found[session_of(token)][generation_of(token)] = when
    return found


def judge_excused(tally: Tally, calls: str, excused: str, *, busy: bool = False) -> None:
    """Of what `tally` counts as `calls`, few may be what it counts as `excused`."""
    made, found = tally.counts[calls], tally.counts[excused]
    most = made * (SELDOM_BUSY if busy else SELDOM)
    tally.expect(found <= most, f"{found} {excused}, of {made} {calls}")


def judge_renewals(
    log: Iterable[Recorded],
    tally: Tally,
    every_s: float,
    spare: int,
    away: Away | None = None,
    late: Collection[str] = (),
    asked: Asked | None = None,
    often: float = NOW_AND_THEN,
) -> None:
    """One renewal in so many seconds of each session, and so many to spare.

    Those who share one of the `late` sessions hear late, of no more than that part of its renewals,
    or of one. A token ages from when it was `asked` for, however long its answer takes, and nobody
    asks for the next one at once. It takes a service that records every use.
    """
    rotated = defaultdict[str, dict[int, float]](dict)
    repeated = defaultdict[str, list[tuple[int, float]]](list)
    for each in log:
        if isinstance(each.event, events.RefreshTokenRotated):
            rotated[each.event.session_id][each.event.generation] = each.time / SECOND
        if isinstance(each.event, events.RefreshTokenRepeated):
            repeated[each.event.session_id].append((each.event.generation, each.time / SECOND))
    for session_id, became in rotated.items():
        again, times = repeated[session_id], [*became.values()]
        shown = [when for _, when in sorted((asked or {}).get(session_id, {}).items())]
        began = shown[0] if shown else times[0]
        tally.expect(began <= times[0], "a rotation came before it was asked for")
        at_once = [
            after - before for before, after in pairwise(shown) if after - before < AT_ONCE_S
        ]
        tally.expect(not at_once, f"{len(at_once)} were renewed at once, after {at_once[:3]} s")
        lost = sum(away.may_lose(at) for _, at in again) if away else 0
        heard_late = 0
        if session_id in late:
            heard_late = len({old for old, at in again if at - became[old + 1] < MOMENT_S})
            heard_late = min(heard_late, max(1, int(often * len(times))))
        most = min(lost, LOST) + heard_late
        after = ", ".join(f"{at - became[old + 1]:.2f}" for old, at in again)
        told = f"{len(again)} tokens were {TWICE}, {most} may be; after {after} s"
        tally.expect(len(again) <= most, told + " by who may hear late" * (session_id in late))
        found = len(times) + len(again)
        most = 1 + spare + heard_late + int((times[-1] - began) / every_s)
        tally.expect(found <= most, f"{found} renewals, {most} may be")
        tally.count("rotations", len(times))
        tally.count(f"tokens {TWICE}", len(again))
        tally.count(f"tokens {TWICE} by who heard late", heard_late)
        tally.count("renewals that may be", most)
    tally.expect(bool(rotated), "nothing was rotated")
