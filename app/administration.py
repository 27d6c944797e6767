"""What operators and administrators do with users: list, find, make, change.

Reads a snapshot that it is given; what it changes goes through a `Dispatch`, so that both the
command line and the event loop can use it. Knows neither of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from app.opening import Opener, wrapped_key
from app.paging import Page, Part, wrong_place
from app.registration import Dispatch, Registration
from app.timestamps import rfc3339
from app.vault import Ring, name_mac
from domain import permission, user_id
from domain.commands import (
    Authority,
    ChangePermissions,
    DisableUser,
    EnableUser,
    EndSessions,
    EraseUser,
    GrantPermissions,
    ResetSecret,
    SetPermissions,
    UserCommand,
    WithdrawPermissions,
)
from domain.errors import InvalidRequest, NotFound
from domain.policy import Policy
from domain.stream import Meta, Recorded
from domain.user_key import is_user_key
from projections.storage import Rows, Value
from projections.user_directory import USER_BY_KEY, USER_BY_NAME, USERS_AFTER, UserRow

_PLACE: Final = re.compile(r"[0-9]{1,18}")
_AFTER_ALL: Final = 2**62


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

    def show(self, rows: Rows, user_key: str, now: int) -> UserItem:
        """The user of a user_key; raises `NotFound`."""
        found = self._fetch(rows, USER_BY_KEY, now, user_key) if is_user_key(user_key) else []
        if not found:
            msg = "There is no user of this key."
            raise NotFound(msg)
        return self._item(found[0])

    def page(self, rows: Rows, part: Part, now: int) -> Page[UserItem]:
        """A part of all users, in the order of their registration."""
        place = _place(part)
        found = self._fetch(rows, USERS_AFTER[part.order], now, place, part.limit + 1)
        shown = found[: part.limit]
        more = len(found) > part.limit
        return Page(
            [self._item(row) for row in shown],
            str(shown[-1].registered_position) if more else None,
        )

    def named(self, rows: Rows, name: str, now: int) -> Page[UserItem]:
        """The one user of a user_id, or nobody."""
        return Page([self._item(row) for row in self._by_name(rows, name, now)], None)

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
    """Changes users, for an operator (`by` is None) or an administrator, who may not do all.

    Where a user is changed that isn't there or was erased, raises `NotFound`; for what an
    administrator may not do, what `domain.authority` raises.
    """

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
        return bool(await self._change(GrantPermissions(user_key, wanted), meta))

    async def withdraw(self, user_key: str, permissions: Sequence[str], meta: Meta) -> bool:
        """Take permissions away; whether that changed anything. Raises as `grant`."""
        wanted = permission.prepare(permissions)
        return bool(await self._change(WithdrawPermissions(user_key, wanted), meta))

    async def set_permissions(
        self, user_key: str, permissions: Sequence[str], by: Authority | None, meta: Meta
    ) -> None:
        """Give exactly these permissions; raises `InvalidRequest` as `grant`."""
        await self._change(SetPermissions(user_key, permission.prepare(permissions), by=by), meta)

    async def change_permissions(
        self,
        user_key: str,
        given: Sequence[str],
        taken: Sequence[str],
        by: Authority | None,
        meta: Meta,
    ) -> None:
        """Give some and take others, and leave the rest as it is; raises as `grant`."""
        given, taken = permission.prepare(given), permission.prepare(taken)
        await self._change(ChangePermissions(user_key, given, taken, by=by), meta)

    async def reset_secret(
        self, user: UserItem, secret: str, by: Authority | None, meta: Meta
    ) -> None:
        """Give a new secret; every session ends. Raises `UnacceptableSecret` saying why."""
        if user.user_id is None:
            msg = "This user is erased: nothing can be changed any more."
            raise NotFound(msg)
        prepared = self._registration.check_secret(user.user_id, secret)
        secret_hash = await self._registration.hash(prepared)
        await self._change(ResetSecret(user.user_key, secret_hash, by=by), meta)

    async def disable(self, user_key: str, by: Authority | None, meta: Meta) -> bool:
        """Let the user not get in any more, and end every session; whether that is new."""
        return bool(await self._change(DisableUser(user_key, by=by), meta))

    async def enable(self, user_key: str, by: Authority | None, meta: Meta) -> bool:
        """Let the user get in again; whether that is new."""
        return bool(await self._change(EnableUser(user_key, by=by), meta))

    async def erase(self, user_key: str, by: Authority | None, meta: Meta) -> bool:
        """Let nobody be able to read who the user was; whether that is new."""
        return bool(await self._change(EraseUser(user_key, by=by), meta))

    async def end_sessions(self, user_key: str, by: Authority | None, meta: Meta) -> int:
        """End every session of a user; how many there were."""
        return len(await self._change(EndSessions(user_key, "admin", by=by), meta))

    async def _change(self, command: UserCommand, meta: Meta) -> tuple[Recorded, ...]:
        """What follows for a user; other streams than users' have names that nobody's key has."""
        if not is_user_key(command.user_key):
            msg = "There is no user of this key."
            raise NotFound(msg)
        return await self._dispatch(command, meta)


def _place(part: Part) -> int:
    """The position that a page of users begins after."""
    if part.after is None:
        return 0 if part.order == "asc" else _AFTER_ALL
    if not _PLACE.fullmatch(part.after):
        raise wrong_place()
    return int(part.after)
