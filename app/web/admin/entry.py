"""An event of the log as administrators see it: what it says, by whom, from where, and its members.

Knows no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal, NamedTuple

import msgspec

from app.audit import EventItem
from domain.catalogue import EVENTS
from domain.stream import ANONYMOUS, CLI, SYSTEM, user_key_of

Tone = Literal["", "good", "warn", "bad"]

_TONES: Final[Mapping[str, Tone]] = {
    "user.registered": "good",
    "user.logged_in": "good",
    "user.enabled": "good",
    "user.login_failed": "warn",
    "user.disabled": "warn",
    "user.permissions_set": "warn",
    "user.secret_changed": "warn",
    "refresh_token.repeated": "warn",
    "refresh_token.revoked": "warn",
    "refresh_token.reuse_detected": "bad",
    "user.erased": "bad",
    "signing_key.withdrawn": "bad",
}
_GIST: Final = ("user_id", "permissions", "by", "why", "count", "generation", "kid")
"""Members that say what one event is about, beside what all of its type mean."""
_ACTORS: Final = {
    ANONYMOUS: "somebody who wasn't logged in",
    CLI: "an operator, at the command line",
    SYSTEM: "the service itself",
}


class Entry(NamedTuple):
    """An event; `actor_key` is that of a user who did it, `says` what such an event means.

    `gist` are the members that tell it from others of its type.
    """

    item: EventItem
    says: str
    tone: Tone
    anchor: str
    actor: str
    actor_key: str | None
    gist: list[tuple[str, str]]
    members: list[tuple[str, str]]


def entry_of(item: EventItem) -> Entry:
    """The event for a page."""
    return Entry(
        item,
        says(item.type),
        _TONES.get(item.type, ""),
        item.type.replace(".", ""),
        _ACTORS.get(item.actor, ""),
        user_key_of(item.actor),
        [(name, shown(item.data[name])) for name in _GIST if item.data.get(name) is not None],
        [(name, shown(value)) for name, value in item.data.items()],
    )


@cache
def says(name: str) -> str:
    """What an event of this name says, by the source, which may call its members otherwise."""
    event = EVENTS[name]
    told = " ".join((event.__doc__ or "").split("\n\n", 1)[0].split())
    for field in msgspec.structs.fields(event):
        told = told.replace(f"`{field.name}`", f"`{field.encode_name}`")
    return told


def shown(value: object) -> str:
    """A member's value as text."""
    match value:
        case None:
            return "null"
        case str():
            return value
        case list() | tuple():
            return ", ".join(map(shown, value)) or "none"
        case _:
            return msgspec.json.encode(value).decode()
