"""Permissions in a form: those that the service itself asks for as boxes, any others as text.

Knows no page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

OTHERS: Final = "others"

_KNOWN: Final[Mapping[str, str]] = {
    "admin": "everything, also what is below",
    "users:read": "see users",
    "users:write": "make and change users",
    "events:read": "read the log",
    "projections:read": "see the views",
    "projections:write": "rebuild views",
    "keys:read": "see signing keys",
    "keys:write": "rotate signing keys",
    "tokens:introspect": "ask what any token is worth",
}


class Choice(NamedTuple):
    """A box."""

    name: str
    permission: str
    about: str
    held: bool


def _name(permission: str) -> str:
    return f"may-{permission.replace(':', '-')}"


NAMES: Final = tuple(map(_name, _KNOWN))
"""Those of the boxes."""


def choices(held: Collection[str]) -> list[Choice]:
    """The boxes for somebody who holds these."""
    return [
        Choice(_name(permission), permission, about, permission in held)
        for permission, about in _KNOWN.items()
    ]


def others(held: Collection[str]) -> str:
    """What else somebody holds, as text."""
    return " ".join(each for each in held if each not in _KNOWN)


def wanted(form: Mapping[str, str]) -> list[str]:
    """What was ticked and written."""
    ticked = [permission for permission in _KNOWN if form[_name(permission)]]
    return [*ticked, *form[OTHERS].replace(",", " ").split()]
