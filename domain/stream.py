"""An event as the log holds it: which stream, which place, when, and who asked.

Knows nothing of how it is stored: `domain.codec` makes bytes of it, `app.eventstore` keeps them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from domain.events import Event
from domain.sealed import Clear

SIGNING_KEYS: Final = "signing_keys"
LOG: Final = "log"

ANONYMOUS: Final = "anonymous"
CLI: Final = "cli"
SYSTEM: Final = "system"


def actor_of(user_key: str) -> str:
    """The actor that is a user: `user:uk_…`."""
    return f"user:{user_key}"


def user_key_of(actor: str) -> str | None:
    """The user_key of an actor that is a user, else None."""
    return actor[5:] if actor.startswith("user:") else None


def is_user_stream(stream: str) -> bool:
    """Whether the stream is one user's."""
    return stream.startswith("uk_")


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Where a request came from; personal, so kept only sealed."""

    ip: str | None = None
    user_agent: str | None = None

    def clear(self) -> Clear | None:
        """The value to seal, or None when there is nothing to tell."""
        if self.ip is None and self.user_agent is None:
            return None
        return Clear(msgspec.json.encode(self).decode())


class Meta(msgspec.Struct, frozen=True, gc=False):
    """Who asked: `user:uk_…`, `anonymous`, `cli` or `system`; by which request; from where."""

    actor: str
    request_id: str
    origin: Clear | bytes | None = None


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event in its place: `version` in its stream from 1, `position` in the log from 1.

    `time` is in µs since the epoch, UTC, and never less than that of the position before.
    """

    stream: str
    version: int
    position: int
    time: int
    meta: Meta
    event: Event
