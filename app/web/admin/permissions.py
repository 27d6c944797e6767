"""Permissions in a form: those that the service itself asks for as boxes, any others as text.

Knows no page.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

OTHERS: Final = "others"
SHOWN: Final = "shown"
"""What was held when the form was made."""

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


def _choices(held: Collection[str]) -> list[Choice]:
    return [
        Choice(_name(permission), permission, about, permission in held)
        for permission, about in _KNOWN.items()
    ]


class Filled(NamedTuple):
    """The form for those who hold something, or as somebody filled it in."""

    choices: list[Choice]
    others: str
    shown: str


def of_holder(held: Collection[str]) -> Filled:
    """The form for somebody who holds these."""
    others = " ".join(each for each in held if each not in _KNOWN)
    return Filled(_choices(held), others, " ".join(held))


def as_sent(form: Mapping[str, str]) -> Filled:
    """The form as it came."""
    return Filled(_choices(_ticked(form)), form[OTHERS], form[SHOWN])


def difference(form: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What was given and what was taken away, seen from what the form showed."""
    shown, wanted = form[SHOWN].split(), [*_ticked(form), *form[OTHERS].replace(",", " ").split()]
    given = [each for each in wanted if each not in shown]
    return given, [each for each in shown if each not in wanted]


def _ticked(form: Mapping[str, str]) -> list[str]:
    return [permission for permission in _KNOWN if form[_name(permission)]]
