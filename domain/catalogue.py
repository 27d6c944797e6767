"""Stored name to event class: the closed list of what a log may hold.

A name that isn't here is not resolved in any other way.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain import events
from domain.events import Event


class UnknownEvent(LookupError):
    """The log holds an event, or a version of one, that this release doesn't know."""


def catalogue(classes: Iterable[type[Event]]) -> dict[str, type[Event]]:
    """Index event classes by stored name; raises `ValueError` when two share one."""
    found: dict[str, type[Event]] = {}
    for cls in classes:
        if cls.name in found:
            msg = f"two events are named {cls.name}"
            raise ValueError(msg)
        found[cls.name] = cls
    return found


EVENTS: dict[str, type[Event]] = catalogue(
    cls
    for cls in vars(events).values()
    if isinstance(cls, type) and issubclass(cls, Event) and cls is not Event
)
"""Every event, by stored name."""
