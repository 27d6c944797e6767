"""A part of a list: how much, from where on, in which order.

Knows no list: a place is text that only the list that gave it out can read.
"""

from __future__ import annotations

from typing import Final, Generic, Literal, TypeVar

import msgspec

from domain.errors import Fault, InvalidRequest

T = TypeVar("T")
Order = Literal["asc", "desc"]

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000


class Part(msgspec.Struct, frozen=True):
    """What is asked for: at most `limit` items `after` a place, None for the first ones."""

    limit: int = DEFAULT_LIMIT
    after: str | None = None
    order: Order = "asc"


class Page(msgspec.Struct, Generic[T], frozen=True):
    """What there is of it; `next` is the place to go on from, None when there is no more."""

    items: list[T]
    next: str | None


def wrong_place(detail: str = "There is no such place in this list.") -> InvalidRequest:
    """What whoever makes a place up hears."""
    return InvalidRequest.of(Fault("/after", detail))
