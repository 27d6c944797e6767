"""Who sends a request and from where, as far as a use case needs to know.

Knows no HTTP: the outer layers fill it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from app.identifiers import new_request_id
from domain.stream import ANONYMOUS, CLI, SYSTEM, Meta, Origin

MAX_USER_AGENT: Final = 256


class Caller(msgspec.Struct, frozen=True):
    """A request's id, its source address and user agent; both None for the command line."""

    request_id: str
    ip: str | None = None
    user_agent: str | None = None

    @property
    def source(self) -> str:
        """The address that budgets are kept by."""
        return self.ip or ""

    @property
    def origin(self) -> Origin:
        """Where it comes from, as an event keeps it."""
        agent = self.user_agent
        return Origin(self.ip, None if agent is None else agent[:MAX_USER_AGENT])

    def meta(self, actor: str = ANONYMOUS) -> Meta:
        """What an event says of this request when `actor` acts."""
        return Meta(actor, self.request_id, self.origin.clear())


def system() -> Meta:
    """What an event says when nobody asked."""
    return Meta(SYSTEM, new_request_id())


def command_line() -> Meta:
    """What an event says when an operator asked."""
    return Meta(CLI, new_request_id())
