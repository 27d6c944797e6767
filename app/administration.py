"""What an operator does with users: list, find, create, grant, withdraw.

Reads a snapshot that it is given; what it changes goes through a `Dispatch`, so that both the
command line and the event loop can use it. Knows neither of them, nor who may ask.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.opening import Opener, wrapped_key
from app.registration import Dispatch, Registration
from app.timestamps import rfc3339
from app.vault import Ring, name_mac
from domain import permission, user_id
from domain.commands import GrantPermissions, WithdrawPermissions
from domain.errors import InvalidRequest, NotFound
from domain.policy import Policy
from domain.stream import Meta
from domain.user_key import is_user_key
from projections.storage import Rows, Value
from projections.user_directory import USER_BY_KEY, USER_BY_NAME, USERS_AFTER, UserRow


class UserItem(msgspec.Struct, frozen=True):
    """A user as everybody outside sees it; `user_id` is null once erased."""

    user_key: str
    user_id: str | None
    status: str
    permissions: tuple[str, ...]
    registered_at: str
    last_login_at: str | None
    live_sessions: int
    position: int


class UserPage(msgspec.Struct, frozen=True):
    """Users in the order of their registration; `next` is None after the last."""

    items: list[UserItem]
    next: int | None


class Directory:
    """Reads users; `now` is in µs."""

    def __init__(self, opener: Opener, ring: Ring, policy: Policy) -> None:
        self._opener = opener
        self._ring = ring
        self._policy = policy

    def find(self, rows: Rows, user: str, now: int) -> UserItem:
        """A user by user_key or user_id; raises `NotFound`."""
        found = self._fetch(rows, USER_BY_KEY, now, user) if is_user_key(user) else []
        if not found:
            found = self._by_name(rows, user, now)
        if not found:
            msg = "There is no user of this name or key."
            raise NotFound(msg)
        return self._item(found[0])

    def page(self, rows: Rows, after: int, limit: int, now: int) -> UserPage:
        """At most `limit` users; `after` is the `next` of the page before, 0 at first."""
        found = self._fetch(rows, USERS_AFTER, now, after, limit)
        more = len(found) == limit
        return UserPage(
            [self._item(row) for row in found], found[-1].registered_position if more else None
        )

    def _by_name(self, rows: Rows, name: str, now: int) -> list[UserRow]:
        try:
            prepared = user_id.prepare(name)
        except InvalidRequest:
            return []  # nobody can have such a name
        return self._fetch(rows, USER_BY_NAME, now, name_mac(self._ring, prepared))

    def _fetch(self, rows: Rows, sql: str, now: int, *params: Value) -> list[UserRow]:
        found = rows.fetch(sql, (now, now - self._policy.session_idle, *params))
        return [UserRow.of(row) for row in found]

    def _item(self, row: UserRow) -> UserItem:
        name = None
        if row.user_id is not None:
            key = wrapped_key(row.master_id, row.wrapped, row.user_key)
            name = self._opener.user_id(row.user_key, key, row.user_id)
        return UserItem(
            row.user_key,
            name,
            row.status,
            tuple(row.permissions.split()),
            rfc3339(row.registered_at),
            None if row.last_login_at is None else rfc3339(row.last_login_at),
            row.live_sessions,
            row.position,
        )


class Administration:
    """Changes users, for somebody who may."""

    def __init__(self, dispatch: Dispatch, registration: Registration) -> None:
        self._dispatch = dispatch
        self._registration = registration

    async def create(self, name: str, secret: str, meta: Meta) -> str:
        """A new user's key, also while registration is closed; no budget is spent.

        Raises `InvalidRequest`, `UnacceptableSecret`, `UserIdTaken`.
        """
        return await self._registration.register(name, self._registration.check(name, secret), meta)

    async def grant(self, user_key: str, permissions: Sequence[str], meta: Meta) -> bool:
        """Give permissions too; whether that changed anything.

        Raises `InvalidRequest` naming each permission that can't be one, `NotFound` for a user
        who isn't there or was erased.
        """
        wanted = permission.prepare(permissions)
        return bool(await self._dispatch(GrantPermissions(user_key, wanted), meta))

    async def withdraw(self, user_key: str, permissions: Sequence[str], meta: Meta) -> bool:
        """Take permissions away; whether that changed anything. Raises as `grant`."""
        wanted = permission.prepare(permissions)
        return bool(await self._dispatch(WithdrawPermissions(user_key, wanted), meta))
