"""Histories that are written into a store event by event, and what was seen of each moment.

Every position is the head once, so that what a later reader says of it can be compared. Knows no
reader of the past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from app.administration import Directory, UserItem
from app.eventstore import snapshot
from app.eventstore.log import read_head
from app.eventstore.record import record_of
from app.opening import Opener
from app.vault import ADD_USER_KEY, PERSON, RESERVE_NAME, name_mac, seal_event
from domain.aggregate import USER
from domain.errors import NotFound
from domain.events import RefreshTokenIssued, UserErased, UserRegistered
from domain.sealed import Clear
from domain.stream import ANONYMOUS, Meta, Origin, Recorded, actor_of
from domain.user import User
from domain.user_key import format_user_key
from projections.live import read_live
from projections.registry import PROJECTIONS
from tests.domain.histories import POLICY, live_through
from tests.domain.specification import T0

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.store import Store
    from domain.events import Event
    from tests.domain.histories import Step

ORIGIN: Final = Origin("203.0.113.77", "canary-agent/1.0").clear()
SNAPSHOT_EVERY: Final = 7
"""Events of a stream between two snapshots: few, so that both ways of reading are met."""

_DROP_KEYS: Final = "DELETE FROM user_keys WHERE user_key = ?"
_DROP_NAME: Final = "DELETE FROM user_ids WHERE user_key = ?"


class Fact(NamedTuple):
    """What happens to whom, and when (µs)."""

    user_key: str
    time: int
    event: Event


class Seen(NamedTuple):
    """Every user at one position, when it was the head; None who wasn't registered."""

    position: int
    time: int
    users: dict[str, UserItem | None]


def person(number: int) -> str:
    """A user_key."""
    return format_user_key(number.to_bytes(16, "big"))


def facts_of(plans: Sequence[list[Step]], first: int, begin: int) -> list[Fact]:
    """What the plans lead to from a time on, a user each, numbered from `first`; by time."""
    later = begin - T0
    facts: list[Fact] = []
    for number, plan in enumerate(plans, first):
        for decision in live_through(plan).decisions:
            for event in decision.facts:
                own = _own(event, number, later)
                facts.append(Fact(person(number), decision.now + later, own))
    return sorted(facts, key=lambda fact: fact.time)


def _own(event: Event, number: int, later: int) -> Event:
    """The event with a name, ids and times that nobody else has."""
    changes: dict[str, object] = {}
    if isinstance(event, UserRegistered):
        changes["user_id"] = Clear(f"canary{number}")
    if isinstance(event, RefreshTokenIssued):
        changes["expires_at"] = event.expires_at + later
    if "session_id" in event.__struct_fields__:
        changes["session_id"] = f"{number:06d}{event.session_id[6:]}"  # type: ignore[attr-defined]
    return msgspec.structs.replace(event, **changes)


class Author:
    """Writes facts into a store, one transaction each, and looks after each of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.directory = Directory(Opener(store.vault, remembered=0), store.ring, POLICY)
        self.versions: dict[str, int] = {}
        self.keys: dict[str, bytes] = {}
        self._states: dict[str, User] = {}

    @property
    def next_time(self) -> int:
        """The first moment (µs) that is later than the log."""
        with self.store.storage.snapshot() as rows:
            return read_head(rows).time + 1

    def live(self, facts: Sequence[Fact]) -> list[Seen]:
        """What was seen at each position."""
        users = list(dict.fromkeys(fact.user_key for fact in facts))
        return [self._look(self.write(fact), users) for fact in facts]

    def write(self, fact: Fact) -> Recorded:
        """Store one."""
        user_key, store = fact.user_key, self.store
        with store.log.append() as append:
            version = self.versions.get(user_key, 0) + 1
            rows = append.rows
            if version == 1:
                key, wrapped = store.vault.new_user_key_row(user_key, PERSON)
                self.keys[user_key] = key
                rows.execute(ADD_USER_KEY, (user_key, PERSON, *wrapped))
                mac = name_mac(store.ring, _name(fact))
                rows.execute(RESERVE_NAME, (mac, user_key))
            meta = Meta(ANONYMOUS if version == 1 else actor_of(user_key), "0" * 32, ORIGIN)
            sealing = seal_event(store.vault, user_key, version, fact.event, meta, self.keys)
            recorded = Recorded(
                user_key, version, append.head.position + 1, fact.time, sealing.meta, sealing.event
            )
            append.write([record_of(recorded)])
            if isinstance(fact.event, UserErased):
                del self.keys[user_key]
                rows.execute(_DROP_KEYS, (user_key,))
                rows.execute(_DROP_NAME, (user_key,))
            read_live(rows, PROJECTIONS).apply(rows, [recorded])
            self._states[user_key] = USER.evolve(self._states.get(user_key, User()), recorded)
            if version % SNAPSHOT_EVERY == 0 and user_key in self.keys:
                snapshot.keep(rows, user_key, self._states[user_key], self.keys[user_key])
            rows.commit()
        self.versions[user_key] = version
        return recorded

    def _look(self, recorded: Recorded, users: Sequence[str]) -> Seen:
        with self.store.storage.snapshot() as rows:
            found: dict[str, UserItem | None] = {}
            for user_key in users:
                try:
                    found[user_key] = self.directory.show(rows, user_key, recorded.time)
                except NotFound:
                    found[user_key] = None
        return Seen(recorded.position, recorded.time, found)


def _name(fact: Fact) -> str:
    assert isinstance(fact.event, UserRegistered)
    assert isinstance(fact.event.user_id, Clear)
    return fact.event.user_id.text
