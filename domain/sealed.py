"""A personal value on its way into the log, and how an event says which of its fields are one.

Knows no cipher and no key: `app.vault` seals and opens. A field of an event that holds
something personal is `Personal`: `Clear` when `decide` made it, bytes once it is recorded.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Clear(msgspec.Struct, frozen=True):
    """A personal value that nobody has sealed yet; no `repr` of it, rich's too, shows it."""

    text: str

    def __repr__(self) -> str:
        return "Clear(…)"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("text", "…")]


Personal = Clear | bytes
"""`Clear` before it is recorded, a sealed blob afterwards."""

Seal = Literal["person", "credential"]
"""Whose key seals a field: the person's, or one made for this credential alone."""


def sealed(value: Personal) -> bytes:
    """The blob of a recorded value; a clear one here is a fault of the program."""
    if isinstance(value, Clear):
        msg = "a personal value was read before it was sealed"
        raise TypeError(msg)
    return value
