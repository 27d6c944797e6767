"""Which aggregate a stream belongs to, so that a writer needs to know only one thing of it.

An aggregate is an empty state, `evolve` and `decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from domain import decider, log, signing_keys, user
from domain.commands import Command
from domain.events import Event
from domain.policy import Policy
from domain.stream import LOG, SIGNING_KEYS, Recorded


class State(Protocol):
    """What every aggregate's state has."""

    @property
    def version(self) -> int:
        """The version of the last event folded in; 0 before the first."""


S = TypeVar("S", bound=State)


class Aggregate(msgspec.Struct, Generic[S], frozen=True):
    """An empty state with its fold and its rules."""

    state: type[S]
    evolve: Callable[[S, Recorded], S]
    decide: Callable[[S, Command, Policy, int], tuple[Event, ...]]

    def fold(self, history: Iterable[Recorded], start: S | None = None) -> S:
        """The state after a history, from `start` or from nothing."""
        state = self.state() if start is None else start
        for recorded in history:
            state = self.evolve(state, recorded)
        return state


USER: Aggregate[user.User] = Aggregate(user.User, user.evolve, decider.decide)
KEYS: Aggregate[signing_keys.SigningKeys] = Aggregate(
    signing_keys.SigningKeys, signing_keys.evolve, signing_keys.decide
)
OF_LOG: Aggregate[log.Log] = Aggregate(log.Log, log.evolve, log.decide)


def aggregate_of(stream: str) -> Aggregate[Any]:
    """The aggregate that a stream belongs to."""
    if stream == SIGNING_KEYS:
        return KEYS
    if stream == LOG:
        return OF_LOG
    return USER
