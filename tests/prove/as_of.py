"""A user as of a position or a time is what was seen when that was now, whoever came and went.

Random histories of a few users each are written event by event, so that every position is the
head once. Who was erased reads as erased: without a name, and else as it was.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec

from app.as_of import AsOf, Moment
from app.replay import Replay
from domain.errors import NotFound
from tests.app.living import Author, Seen, facts_of
from tests.domain.histories import POLICY, read_plan
from tests.prove.stored import opened
from tests.prove.tally import Tally

if TYPE_CHECKING:
    from app.administration import UserItem
    from app.store import Store

PROPERTY: Final = "as of any position a user is what was seen when it was the head"
SIZE: Final = 50
OF: Final = "histories"
STEP: Final = 10
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
USERS: Final = 3
STEPS: Final = 40
ERASED: Final = 0.3
"""How often a user is erased in the end."""

_LATER: Final = 4_000_000_000_000_000
"""µs; after all of it."""


def prove(url: str, count: int) -> Tally:
    """Live `count` histories in one store, and look back at each position of theirs."""
    tally = Tally()
    with opened(url) as store:
        author = Author(store)
        for number in range(count):
            plans = [read_plan(_plan()) for _ in range(USERS)]
            facts = facts_of(plans, 1 + number * USERS, author.next_time)
            _look_back(store, author.live(facts), tally)
            tally.tried += 1
    return tally


def _plan() -> bytes:
    plan = random.randbytes(5 * random.randint(1, STEPS))
    return plan + b"\xff" * 5 if random.random() < ERASED else plan


def _look_back(store: Store, seen: list[Seen], tally: Tally) -> None:
    late = False
    for place, each in enumerate(seen):
        for user in each.users:
            right = _expected(seen, place, user)
            found = _found(store, user, Moment(position=each.position))
            tally.expect(found == right, f"at {each.position}: {found}, not {right}")
            if place:
                earlier = _found(store, user, Moment(position=each.position - 1))
                late = late or _unplaced(earlier) != _unplaced(right)
            tally.count("users seen again")
        if place + 1 == len(seen) or seen[place + 1].time > each.time:
            user = random.choice(list(each.users))
            right = _expected(seen, place, user)
            found = _found(store, user, Moment(at=each.time))
            tally.expect(found == right, f"at {each.time} µs: {found}, not {right}")
    _replay(store, seen, tally)
    tally.control("the state of a position earlier", noticed=late)


def _replay(store: Store, seen: list[Seen], tally: Tally) -> None:
    """The other way to fold comes to the same."""
    for user in seen[-1].users:
        right = _expected(seen, len(seen) - 1, user)
        moment = Moment(position=seen[-1].position)
        replay = Replay(store.log, store.vault, POLICY, user, moment, _LATER)
        for _ in replay.read():
            pass
        state = msgspec.structs.asdict(replay.state())
        right_members = {} if right is None else msgspec.structs.asdict(right)
        wrong = {name for name, value in right_members.items() if state[name] != value}
        tally.expect(not wrong and right is not None, f"a replay has other {sorted(wrong)}")


def _found(store: Store, user: str, moment: Moment) -> UserItem | None:
    folding = AsOf(store.vault, POLICY).user(user, moment, _LATER)
    try:
        with store.storage.snapshot() as rows:
            return folding.read(rows)
    except NotFound:
        return None


def _expected(seen: list[Seen], place: int, user: str) -> UserItem | None:
    """What was seen; without the name of whoever is erased by now."""
    then, last = seen[place].users[user], seen[-1].users[user]
    if then is None or last is None or last.status != "erased":
        return then
    return msgspec.structs.replace(then, user_id=None)


def _unplaced(item: UserItem | None) -> UserItem | None:
    """Without what every event changes."""
    return None if item is None else msgspec.structs.replace(item, position=0)
