"""`given(events).when(command).then(events)`: how the rules are told in tests.

Knows no rule: it numbers and folds events and compares what was decided. A number among the
events is the time (µs) of those after it; before the first it is `T0`. Whatever is `Clear` in a
given event is sealed first, as a store would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import pytest

from domain import events
from domain.aggregate import Aggregate, aggregate_of
from domain.authority import NOBODY_ELSE, Others
from domain.commands import Command
from domain.errors import GatebookError
from domain.events import Event
from domain.policy import Policy
from domain.sealed import Clear
from domain.stream import SYSTEM, Meta, Recorded

T0 = 1_795_500_000_000_000
ADA = "uk_" + "0" * 25 + "a"
BOB = "uk_" + "0" * 25 + "b"
META = Meta(SYSTEM, "0" * 32)

REGISTERED = events.UserRegistered(Clear("Ada"), Clear("$argon2id$of-ada"))
ERASED = events.UserErased()
DISABLED = events.UserDisabled()
ENABLED = events.UserEnabled()


def blob(clear: Clear) -> bytes:
    """A stand-in for a sealed value: nothing of the text is in it."""
    return b"\x01" + hashlib.sha256(clear.text.encode()).digest()


def seal(event: Event) -> Event:
    """The event as a store would keep it."""
    return msgspec.structs.replace(
        event,
        **{
            field: blob(value)
            for field in event.seals
            if isinstance(value := getattr(event, field), Clear)
        },
    )


def session_id(number: int) -> str:
    """A well-formed session_id, in the order of its number."""
    return f"{number:022d}"


def login(
    number: int, at: int = T0, by: events.LoggedInBy = "secret", policy: Policy | None = None
) -> tuple[int | Event, ...]:
    """What a login at a time leaves behind."""
    expires_at = at + (policy or Policy()).session_max
    return (
        at,
        events.UserLoggedIn(session_id(number), by),
        events.RefreshTokenIssued(session_id(number), expires_at),
    )


def number(stream: str, told: Iterable[int | Event]) -> list[Recorded]:
    """Events in their places, versions from 1."""
    history: list[Recorded] = []
    time = T0
    for step in told:
        if isinstance(step, int):
            time = step
            continue
        place = len(history) + 1
        history.append(Recorded(stream, place, place, time, META, seal(step)))
    return history


class Given(NamedTuple):
    """A history, told from its first event on."""

    told: tuple[int | Event, ...]
    policy: Policy

    def when(
        self, command: Command, now: int | None = None, others: Others = NOBODY_ELSE
    ) -> Outcome:
        """Wish for something at `now` (µs), by default at the time of the last event.

        `others` is what is true of other users then.
        """
        history = number(command.stream, self.told)
        last = history[-1].time if history else T0
        return Outcome(self, history, command, last if now is None else now, others)


class Outcome(NamedTuple):
    """A wish that is about to be decided."""

    given: Given
    history: list[Recorded]
    command: Command
    now: int
    others: Others

    def decided(self) -> tuple[Event, ...]:
        """The facts that follow; raises the refusal."""
        aggregate: Aggregate[Any] = aggregate_of(self.command.stream)
        state = aggregate.fold(self.history)
        return aggregate.decide(state, self.command, self.given.policy, self.now, self.others)

    def then(self, *expected: Event) -> Given:
        """Demand exactly these facts; the history goes on from them."""
        assert self.decided() == expected
        return Given((*self.given.told, self.now, *expected), self.given.policy)

    def nothing(self) -> Given:
        """Demand that it is so already: neither a fact nor a refusal."""
        return self.then()

    def refused(self, error: type[GatebookError], **attributes: object) -> GatebookError:
        """Demand exactly this refusal, with these attributes."""
        with pytest.raises(GatebookError) as caught:
            self.decided()
        assert type(caught.value) is error
        assert {name: getattr(caught.value, name) for name in attributes} == attributes
        return caught.value


def given(*told: int | Event, policy: Policy | None = None) -> Given:
    """Begin a specification; without events nothing has happened yet."""
    return Given(told, policy or Policy())
