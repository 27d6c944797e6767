"""The live sessions of a user, as the user and administrators see them.

Reads a snapshot that it is given. Knows no HTTP, and nothing of how a session ends.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from app.opening import Opener, wrapped_key
from app.paging import Page, Part, wrong_place
from app.timestamps import rfc3339
from domain.policy import Policy
from domain.stream import Origin
from projections.storage import Rows
from projections.token_lookup import SESSIONS_OF, SessionRow

_PLACE: Final = re.compile(r"([0-9]{1,18})-([0-9A-Za-z]{22})")
_BEFORE_ALL: Final = (-1, "")
_AFTER_ALL: Final = (2**62, "")


class SessionItem(msgspec.Struct, frozen=True):
    """A live session. `expires_at` is when it ends if its token isn't used again.

    `last_used_at`, `ip` and `user_agent` are those of the last recorded use, or of the login.
    """

    session_id: str
    started_at: str
    last_used_at: str
    expires_at: str
    ip: str | None
    user_agent: str | None
    current: bool
    kind: Literal["user", "service"]


class SessionList:
    """Reads sessions; times in µs."""

    def __init__(self, opener: Opener, policy: Policy) -> None:
        self._opener = opener
        self._policy = policy

    def page(
        self, rows: Rows, user_key: str, part: Part, now: int, current: str | None = None
    ) -> Page[SessionItem]:
        """A part of a user's live sessions, in the order in which they began.

        `current` is the session_id of whoever asks. Raises `InvalidRequest` for a place that
        isn't one.
        """
        started_at, session_id = _place(part)
        live = (user_key, now, now - self._policy.session_idle)
        found = rows.fetch(SESSIONS_OF[part.order], (*live, started_at, session_id, part.limit + 1))
        shown = [SessionRow.of(row) for row in found[: part.limit]]
        last = shown[-1] if len(found) > part.limit else None
        return Page(
            [self._item(row, current) for row in shown],
            None if last is None else f"{last.started_at}-{last.session_id}",
        )

    def _item(self, row: SessionRow, current: str | None) -> SessionItem:
        ends_at = self._policy.ends_at(row.expires_at, row.last_used_at)
        blob = row.origin if row.used_origin is None else row.used_origin
        origin = Origin()
        if blob is not None:
            key = wrapped_key(row.master_id, row.wrapped, row.user_key)
            origin = self._opener.origin(row.user_key, key, blob)
        return SessionItem(
            row.session_id,
            rfc3339(row.started_at),
            rfc3339(row.last_used_at),
            rfc3339(ends_at),
            origin.ip,
            origin.user_agent,
            row.session_id == current,
            "service" if row.service else "user",
        )


def _place(part: Part) -> tuple[int, str]:
    if part.after is None:
        return _BEFORE_ALL if part.order == "asc" else _AFTER_ALL
    found = _PLACE.fullmatch(part.after)
    if found is None:
        raise wrong_place()
    return int(found[1]), found[2]
