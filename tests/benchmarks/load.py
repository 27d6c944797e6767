"""Load on one path of a server: what is asked, what came of it, and who can ask.

A load generator sends the bodies in turn, over connections that stay open, each with one request
at a time. Where what is sent is used up by that, each answer says what is sent in its place. Knows
nothing of the service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec


class LoadError(Exception):
    """A run that doesn't count: an answer that isn't what it must be, or a broken connection."""


class Target(NamedTuple):
    """What a path of a server on this machine is asked: JSON bodies to be posted, in turn.

    `renewed` is a member whose text comes back changed: it is sent as the answer has it from then
    on. As wrk asks for one request that it never sends, there is one body more than connections.
    `bearers` are access tokens, which go round beside the bodies; without bodies they are sent with
    GET. `form` says that the bodies are forms.
    """

    port: int
    path: str
    bodies: tuple[bytes, ...]
    connections: int
    renewed: str | None = None
    bearers: tuple[str, ...] = ()
    form: bool = False

    @property
    def media_type(self) -> str:
        """What the bodies are; the empty text where there are none."""
        kind = "application/x-www-form-urlencoded" if self.form else "application/json"
        return kind if self.bodies else ""


class Tally(msgspec.Struct, frozen=True):
    """How many requests were answered, in how many seconds."""

    requests: int
    seconds: float


Generate = Callable[[Target, float], Tally]
"""Loads a target for about so many seconds; raises `LoadError`."""


class Generator(NamedTuple):
    """A load generator, and what it calls itself."""

    name: str
    generate: Generate
