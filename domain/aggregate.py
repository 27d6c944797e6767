"""Which aggregate a stream belongs to, so that a writer needs to know only one thing of it.

An aggregate is an empty state, `evolve` and `decide`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from domain import decider, log, signing_keys, user
from domain.authority import NOBODY_ELSE, Others
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
    rules: Callable[[S, Command, Policy, int, Others], tuple[Event, ...]]

    def decide(
        self, state: S, command: Command, policy: Policy, now: int, others: Others = NOBODY_ELSE
    ) -> tuple[Event, ...]:
        """What follows from a wish, at a time (µs); raises the refusal."""
        return self.rules(state, command, policy, now, others)

    def fold(self, history: Iterable[Recorded], start: S | None = None) -> S:
        """The state after a history, from `start` or from nothing."""
        state = self.state() if start is None else start
        for recorded in history:
            state = self.evolve(state, recorded)
        return state


def _alone(
    rules: Callable[[S, Command, Policy, int], tuple[Event, ...]],
) -> Callable[[S, Command, Policy, int, Others], tuple[Event, ...]]:
    """Rules that need nothing of users."""
    return lambda state, command, policy, now, _: rules(state, command, policy, now)


USER: Aggregate[user.User] = Aggregate(user.User, user.evolve, decider.decide)
KEYS: Aggregate[signing_keys.SigningKeys] = Aggregate(
    signing_keys.SigningKeys, signing_keys.evolve, _alone(signing_keys.decide)
)
OF_LOG: Aggregate[log.Log] = Aggregate(log.Log, log.evolve, _alone(log.decide))


def aggregate_of(stream: str) -> Aggregate[Any]:
    """The aggregate that a stream belongs to."""
    if stream == SIGNING_KEYS:
        return KEYS
    if stream == LOG:
        return OF_LOG
    return USER
