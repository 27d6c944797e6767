"""The log's own aggregate: its id, from its first event on."""

from __future__ import annotations

import msgspec

from domain import commands, events
from domain.policy import Policy
from domain.stream import Recorded


class Log(msgspec.Struct, frozen=True):
    """Which log this is; empty before it is opened."""

    version: int = 0
    log_id: str = ""


def evolve(log: Log, recorded: Recorded) -> Log:
    """The log after one more event of its own stream."""
    match recorded.event:
        case events.LogOpened(log_id) | events.LogRestored(log_id):
            return Log(recorded.version, log_id)
        case _:
            return Log(recorded.version, log.log_id)


def decide(
    log: Log, command: commands.Command, policy: Policy, now: int
) -> tuple[events.Event, ...]:
    """What follows from a wish about the log; opening it again changes nothing."""
    del policy, now
    match command:
        case commands.OpenLog(log_id):
            return () if log.log_id else (events.LogOpened(log_id),)
        case commands.RestoreLog(log_id, at_position):
            return (events.LogRestored(log_id, at_position),)
        case _:
            msg = f"the log doesn't decide {type(command).__name__}"
            raise TypeError(msg)
