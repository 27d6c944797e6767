"""What became of one refresh token: its session, every use that was recorded, and each address.

Only reads: looking at a token counts as no use of it. Knows no command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple

import msgspec

from app import audit
from app.administration import Directory
from app.audit import SPAN, EventItem, Wanted
from app.eventstore.log import read_head
from app.store import Store
from app.timestamps import parse_rfc3339
from domain.errors import Damage, NotFound
from domain.events import (
    RefreshTokenIssued,
    RefreshTokenRepeated,
    RefreshTokenReuseDetected,
    RefreshTokenRevoked,
    RefreshTokenRotated,
    RefreshTokenUsed,
    UserErased,
    UserLoggedIn,
)
from domain.policy import Policy
from domain.refresh_token import RefreshToken, is_genuine, parse
from domain.session_rules import is_live
from domain.user import Session
from projections.token_lookup import LOOK_UP, TokenRow

_LOGINS: Final = """
SELECT stream, position, clear FROM events
WHERE position > ? AND position <= ? AND topic = ?"""

_SHOWN: Final = frozenset(
    each.name
    for each in (
        UserLoggedIn,
        RefreshTokenUsed,
        RefreshTokenRotated,
        RefreshTokenRepeated,
        RefreshTokenReuseDetected,
    )
)

Done = Callable[[int], None]
Standing = Literal["current", "retired", "unissued"]


class Address(msgspec.Struct, frozen=True):
    """From where the session was begun and its tokens shown, how often that was recorded, when."""

    ip: str | None
    user_agent: str | None
    count: int
    first_at: str
    last_at: str


class TraceItem(msgspec.Struct, frozen=True):
    """A token's generation, what became of it and of its session, and what is recorded of them.

    A `retired` token has a successor, made at `retired_at`; one that is `unissued` is genuine,
    but of a later time than this log: the store was restored from a copy. `expires_at` is the
    absolute limit.
    """

    user_key: str
    user_id: str | None
    session_id: str
    kind: Literal["user", "service"]
    token: Standing
    generation: int
    retired_at: str | None
    session: Literal["live", "expired", "ended"]
    ended_at: str | None
    ended_why: str | None
    started_at: str
    last_used_at: str
    expires_at: str
    current_generation: int
    addresses: list[Address]
    events: list[EventItem]


class Found(NamedTuple):
    """Whose a session is, and after which position it begins."""

    user_key: str
    after: int


def recognised(text: str, key: bytes) -> RefreshToken:
    """The token of a text, when it was made under the ring's `refresh` key; raises `NotFound`."""
    token = parse(text)
    if token is None:
        msg = (
            "This is no refresh token: one begins with gbr_, has 81 characters and ends in a "
            "checksum of the others. Perhaps it was cut or mistyped."
        )
        raise NotFound(msg)
    if not is_genuine(token, key):
        msg = "This refresh token was not made by this service: it opens nothing here."
        raise NotFound(msg)
    return token


class Tracing:
    """Traces tokens of a store. Outside of any snapshot: it reads in many."""

    def __init__(self, store: Store, directory: Directory, policy: Policy) -> None:
        self._store = store
        self._directory = directory
        self._policy = policy

    def head(self) -> int:
        """Where the log ends."""
        with self._store.storage.snapshot() as rows:
            return read_head(rows).position

    def find(self, session_id: str) -> Found | None:
        """A session by the view; it has those that were over for less than 30 days."""
        with self._store.snapshot() as rows:
            found = rows.fetch(LOOK_UP, (session_id,))[0]
            if found[0] is None:
                return None
            row = TokenRow.of(found)
            after, _ = audit.places(rows, Wanted(since=row.started_at))
        return Found(row.user_key, after)

    def look_through(self, session_id: str, head: int, done: Done) -> Found:
        """A session by its login, looked for from the head back to the first position.

        Raises `NotFound` for a session that this log doesn't know.
        """
        wanted = session_id.encode()
        for last in range(head, 0, -SPAN):
            first = max(0, last - SPAN)
            with self._store.storage.snapshot() as rows:
                logins = rows.fetch(_LOGINS, (first, last, UserLoggedIn.name))
            for stream, position, clear in logins:
                if isinstance(clear, bytes) and wanted in clear:
                    return Found(str(stream), int(position or 0) - 1)
            done(last - first)
        msg = (
            "This refresh token is genuine, but its session isn't in this log. The store was "
            "restored from a copy that is older than the session."
        )
        raise NotFound(msg)

    def trace(
        self, token: RefreshToken, found: Found, head: int, now: int, done: Done
    ) -> TraceItem:
        """All that is recorded up to `head`; `done` hears of the positions passed.

        `now` is in µs. Raises `Damage` and `Unavailable` for what can't be read.
        """
        story = _Story(token, found.user_key)
        for items in self._items(found, head, done):
            for item in items:
                story.add(item)
            if story.ended is not None:
                break
        with self._store.snapshot() as rows:
            user = self._directory.show(rows, found.user_key, now)
        return story.told(user.user_id, self._policy, now)

    def _items(self, found: Found, head: int, done: Done) -> Iterator[list[EventItem]]:
        after = found.after
        while after < head:
            with self._store.storage.snapshot() as rows:
                wanted = Wanted(found.user_key)
                page = audit.read_page(rows, self._store.vault, wanted, after, head, audit.PAGE)
            yield page.items
            if page.failure is not None:
                raise page.failure
            done(page.reached - after)
            after = page.reached


class _Story:
    """The events of one session, in their order; times as items have them."""

    def __init__(self, token: RefreshToken, user_key: str) -> None:
        self._token = token
        self._user_key = user_key
        self._events: list[EventItem] = []
        self._by = ""
        self._expires_at = ""
        self._last_used_at = ""
        self._generation = 1
        self._retired_at: str | None = None
        self.ended: tuple[str, str] | None = None

    def add(self, item: EventItem) -> None:
        """One more event of the user; those of other sessions are passed over."""
        over = item.type == UserErased.name
        if self.ended or not (over or item.data.get("session_id") == self._token.session_id):
            return
        self._events.append(item)
        match item.type:
            case UserLoggedIn.name:
                self._by, self._last_used_at = str(item.data["by"]), item.time
            case RefreshTokenIssued.name:
                self._expires_at = str(item.data["expires_at"])
            case RefreshTokenUsed.name | RefreshTokenRepeated.name:
                self._last_used_at = item.time
            case RefreshTokenRotated.name:
                self._last_used_at = item.time
                self._generation = int(str(item.data["generation"]))
                if self._generation == self._token.generation + 1:
                    self._retired_at = item.time
            case RefreshTokenRevoked.name:
                self.ended = item.time, str(item.data["why"])
            case UserErased.name:
                self.ended = item.time, "erased"

    def told(self, user_id: str | None, policy: Policy, now: int) -> TraceItem:
        """What it comes to; raises `Damage` when it has no beginning."""
        if not self._expires_at:
            msg = f"The session {self._token.session_id} is in a view, and not in the log."
            raise Damage(msg)
        ended_at, ended_why = self.ended or (None, None)
        return TraceItem(
            user_key=self._user_key,
            user_id=user_id,
            session_id=self._token.session_id,
            kind="service" if self._by == "client_credentials" else "user",
            token=self._standing(),
            generation=self._token.generation,
            retired_at=self._retired_at,
            session="ended" if self.ended else "live" if self._lives(policy, now) else "expired",
            ended_at=ended_at,
            ended_why=ended_why,
            started_at=self._events[0].time,
            last_used_at=self._last_used_at,
            expires_at=self._expires_at,
            current_generation=self._generation,
            addresses=self._addresses(),
            events=self._events,
        )

    def _standing(self) -> Standing:
        generation = self._token.generation
        if generation == self._generation:
            return "current"
        return "retired" if generation < self._generation else "unissued"

    def _lives(self, policy: Policy, now: int) -> bool:
        used = parse_rfc3339(self._last_used_at)
        return is_live(Session(used, parse_rfc3339(self._expires_at), used, used), policy, now)

    def _addresses(self) -> list[Address]:
        """Of whoever held the session; from where it was ended is in that event."""
        found: dict[tuple[str | None, str | None], Address] = {}
        for item in self._events:
            if item.type not in _SHOWN or item.erased:
                continue
            place = item.ip, item.user_agent
            known = found.get(place)
            if known is None:
                found[place] = Address(*place, 1, item.time, item.time)
            else:
                found[place] = Address(*place, known.count + 1, known.first_at, item.time)
        return list(found.values())
