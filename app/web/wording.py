"""What happened, in words for the person to whom it happened.

Knows no page; the reference of events has the exact meaning of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from app.audit import EventItem
from domain.stream import ANONYMOUS, CLI, SYSTEM, actor_of

WORDS: Final[Mapping[str, str]] = {
    "user.registered": "You registered.",
    "user.logged_in": "A session began.",
    "user.login_failed": "A wrong secret was shown.",
    "refresh_token.issued": "A refresh token was issued to a session.",
    "refresh_token.used": "A session was used.",
    "refresh_token.rotated": "A session's refresh token was replaced.",
    "refresh_token.repeated": "A replaced refresh token was shown again in time.",
    "refresh_token.reuse_detected": "A replaced refresh token was used again: stolen, perhaps.",
    "refresh_token.revoked": "A session was ended.",
    "user.secret_changed": "The secret was changed.",
    "user.secret_rehashed": "The secret's hash was made anew.",
    "user.permissions_set": "The permissions were set.",
    "user.disabled": "The account was disabled.",
    "user.enabled": "The account was enabled again.",
    "user.erased": "The account was erased.",
}
_BY: Final = {
    "secret": "By key and secret.",
    "client_credentials": "By a program, with client credentials.",
    "page": "At the log-in page.",
}
_WHY: Final = {
    "owner": "You ended it.",
    "admin": "An administrator ended it.",
    "end_all": "All of them were ended.",
    "limit": "There were too many: the oldest ended.",
    "reuse": "Because of the reuse.",
    "secret_changed": "Because the secret was changed.",
    "disabled": "Because the account was disabled.",
    "erased": "Because the account was erased.",
    "restored": "Because the store was restored from a copy.",
}


class Line(NamedTuple):
    """An event: when, what, more about it, by whom if by another, and from where."""

    time: str
    type: str
    text: str
    more: str
    by: str
    ip: str | None
    user_agent: str | None


def told_of(item: EventItem) -> Line:
    """The line of an event of one's own history."""
    return Line(
        item.time,
        item.type,
        WORDS.get(item.type, item.type),
        _more(item),
        _by(item),
        item.ip,
        item.user_agent,
    )


def _more(item: EventItem) -> str:
    data = item.data
    match item.type:
        case "user.logged_in":
            return _BY.get(str(data["by"]), "")
        case "refresh_token.revoked":
            return _WHY.get(str(data["why"]), "")
        case "user.login_failed" if data["count"] != 1:
            return f"{data['count']} times within a minute."
        case "user.permissions_set":
            held = data["permissions"]
            names = ", ".join(map(str, held)) if isinstance(held, list | tuple) else ""
            return f"Held now: {names}." if names else "None are left."
    return ""


def _by(item: EventItem) -> str:
    if item.actor in {ANONYMOUS, SYSTEM} or (
        item.user_key is not None and item.actor == actor_of(item.user_key)
    ):
        return ""
    return "By the operator." if item.actor == CLI else "By an administrator."
