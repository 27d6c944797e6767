"""Random lives of a few people in a real store: everything that commands can bring about.

Seeded, so that a history can be had again. Knows no test.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from app.caller import system
from app.clock import now
from app.eventstore.feed import LogFeed
from app.known_networks import Network, network_mac
from app.settings import load
from app.signing_keys import KeyRotation
from app.writer import Wish, Writer
from domain import commands
from domain.errors import GatebookError
from domain.policy import Policy
from domain.sealed import Clear
from projections.registry import PROJECTIONS
from projections.runner import Follower
from tests.running import settings
from tests.store.wishing import (
    HASH,
    end,
    fail,
    log_in,
    meta,
    permit,
    present,
    register,
    rotate,
    use,
    user_key,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from app.store import Store
    from domain.stream import Meta, Recorded
    from projections.storage import Statement, Storage

SESSIONS: Final = 4
BUSY: Final = 36
"""Logins of somebody who has a snapshot then."""


def follow(storage: Storage) -> None:
    """Bring the following views to the head, as a running service does."""
    assert Follower(storage, LogFeed(), PROJECTIONS).catch_up() == {}


class Life:
    """A store and who lives in it."""

    def __init__(self, store: Store, rng: random.Random, label: str = "") -> None:
        self.store = store
        self.rng = rng
        self.writer = Writer(store.log, store.vault, store.ring, Policy(session_cap=3))
        self._people = [f"{label}person{number}" for number in range(8)]
        self._sessions = 0

    def begin(self) -> None:
        """Everybody registers; the stream of one of them gets a snapshot, and keys rotate."""
        self._commit([register(each) for each in self._people])
        busy = f"{self._people[0]}.busy"
        self._commit([register(busy)])
        for number in range(BUSY):
            self._commit([log_in(busy, f"busy{number}")])
        given = load(settings("sqlite:///unused")).settings
        rotation = KeyRotation(self._dispatch, self.store.vault, given)
        for at_once in (True, False):
            asyncio.run(rotation.rotate(system(), at_once=at_once))

    def go_on(self, steps: int) -> None:
        """So many times a few wishes of somebody, of which some are refused."""
        for _ in range(steps):
            who = self.rng.choice(self._people)
            self._commit([self._wish(who) for _ in range(self.rng.randint(1, 3))])

    def join(self, who: str) -> None:
        """Somebody new registers."""
        self._commit([register(who)])

    def erase(self, who: str) -> None:
        """Erase somebody."""
        self._commit([Wish(commands.EraseUser(user_key(who)), meta())])

    def _wish(self, who: str) -> Wish:
        key, rng = user_key(who), self.rng
        session = f"{who} {rng.randint(max(0, self._sessions - SESSIONS), self._sessions)}"
        kinds: list[Callable[[], Wish]] = [
            lambda: self._log_in(who),
            lambda: self._log_in(who),
            lambda: use(who, session),
            lambda: rotate(who, session, rng.randint(1, 2)),
            lambda: present(who, session),
            lambda: end(who, session),
            lambda: permit(who, *rng.sample(["a", "b", "c"], 2)),
            lambda: fail(who),
            lambda: Wish(commands.ResetSecret(key, Clear(f"{HASH} {rng.random()}")), meta()),
            lambda: self._rehash(key),
            lambda: Wish(commands.DisableUser(key), meta()),
            lambda: Wish(commands.EnableUser(key), meta()),
            lambda: Wish(commands.EnableUser(key), meta()),
            lambda: Wish(commands.EndSessions(key, "admin"), meta()),
        ]
        if rng.random() < 0.02:
            return Wish(commands.EraseUser(key), meta())
        return rng.choice(kinds)()

    def _log_in(self, who: str) -> Wish:
        self._sessions += 1
        state = self.writer._states.get(user_key(who))
        version = state.secret_version if state is not None else 1
        wish = log_in(who, f"{who} {self._sessions}", secret_version=version)
        mac = network_mac(self.store.ring.network, user_key(who), "203.0.113.0/24")
        wish.rows = Network(mac, None).logged_in(user_key(who), now())
        return wish

    def _rehash(self, key: str) -> Wish:
        state = self.writer._states[key]
        return Wish(commands.RehashSecret(key, Clear(f"{HASH} anew"), state.secret_hash), meta())

    def _commit(self, wishes: list[Wish]) -> None:
        for answer in self.writer.commit(wishes):
            assert isinstance(answer, tuple | GatebookError), answer
            assert getattr(answer, "code", "") != "internal_error", answer

    async def _dispatch(
        self, command: commands.Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        (answer,) = self.writer.commit([Wish(command, meta, rows)])
        if isinstance(answer, Exception):
            raise answer
        return answer
