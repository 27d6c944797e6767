"""`gatebook users`: who there is, what each may do, and whether each gets in."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import rich_click as click

from app import erasing
from app.administration import Administration, UserItem
from app.caller import command_line
from app.cli import output
from app.cli.access import opened
from app.cli.administering import Administering, administration, directory_of, find
from app.cli.failure import naming
from app.clock import now
from app.paging import Part
from projections.storage import Storage

PAGE: Final = 1000
TRY_EVERY: Final = 0.1
TELL_EVERY: Final = 2.0
"""Seconds between two lines of a command that waits."""
_HEADER: Final = ("USER_KEY", "STATUS", "SESSIONS", "LAST_LOGIN_AT", "USER_ID", "PERMISSIONS")


@click.group("users")
def command() -> None:
    """List users, make them, and change them.

    USER is a user_id or a user_key.
    """


@command.command("list")
@output.json_option
def list_users(*, as_json: bool) -> None:
    """List all users, in the order of their registration."""
    with opened() as access:
        directory, after = directory_of(access), None
        if not as_json:
            output.data([_line(*_HEADER)])
        while True:
            with access.store.snapshot() as rows:
                page = directory.page(rows, Part(PAGE, after), now())
            if as_json:
                output.json_lines(page.items)
            else:
                output.data(map(_row, page.items))
            if page.next is None:
                return
            after = page.next


@command.command("show")
@click.argument("user")
@output.json_option
def show(user: str, *, as_json: bool) -> None:
    """Show one user."""
    with opened() as access:
        item = find(access, user)
    if as_json:
        output.json_lines([item])
        return
    members = msgspec.structs.asdict(item)
    output.data(output.columns((name, 13), (_text(value), 0)) for name, value in members.items())


@command.command("create")
@click.argument("user_id")
@click.option("--secret-stdin", is_flag=True, help="Read the secret from stdin.")
def create(user_id: str, *, secret_stdin: bool) -> None:
    """Make a user; prints its user_key.

    The secret is asked for, or read from stdin: never an argument. This also works while
    registration is closed, and makes the store when there is none.
    """
    secret = output.read_secret(from_stdin=secret_stdin)
    with opened(make=True) as access, administration(access) as by:
        user_key = asyncio.run(by.users.create(user_id, secret, command_line()))
    output.data([user_key])


@command.command("set-secret")
@click.argument("user")
@click.option("--secret-stdin", is_flag=True, help="Read the secret from stdin.")
def set_secret(user: str, *, secret_stdin: bool) -> None:
    """Give a user a new secret; all its sessions end.

    The secret is asked for, or read from stdin: never an argument.
    """
    with opened() as access:
        item = find(access, user)
        secret = output.read_secret(from_stdin=secret_stdin)
        with administration(access) as by:
            asyncio.run(by.users.reset_secret(item, secret, None, command_line()))
    still = " The user is still disabled." if item.status == "disabled" else ""
    output.talk(f"{_name(item)} has a new secret. Sessions ended: {by.ended}.{still}")


@command.command("grant")
@click.argument("user")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
def grant(user: str, permissions: tuple[str, ...]) -> None:
    """Give a user permissions; `admin` implies all.

    They count from the user's next refresh on.
    """
    with naming(permissions):
        _permit(user, lambda users, key: users.grant(key, permissions, command_line()))


@command.command("revoke")
@click.argument("user")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
def revoke(user: str, permissions: tuple[str, ...]) -> None:
    """Take permissions from a user.

    Here and in introspection they stop working at once.
    """
    with naming(permissions):
        _permit(user, lambda users, key: users.withdraw(key, permissions, command_line()))


@command.command("disable")
@click.argument("user")
def disable(user: str) -> None:
    """Lock a user out until enabled again; all its sessions end."""
    item, by = _change(user, lambda users, key: users.disable(key, None, command_line()))
    ended = f" Sessions ended: {by.ended}." if by.changed else ""
    output.talk(f"{_unless(by)}{_name(item)} is disabled.{ended}")


@command.command("enable")
@click.argument("user")
def enable(user: str) -> None:
    """Let a disabled user in again, with the secret as it was."""
    item, by = _change(user, lambda users, key: users.enable(key, None, command_line()))
    output.talk(f"{_unless(by)}{_name(item)} is enabled.")


@command.command("erase")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Don't ask first, on a terminal.")
def erase(user: str, *, yes: bool) -> None:
    """Erase a user for good: nobody can read who it was.

    Its keys go, its sessions end and its name is free; what it did stays in the log. The last
    administrator goes too. Waits until no byte of the person is left in a file, which a read that
    goes on puts off; broken off, a running service goes on with it, and `doctor` shows it.
    """
    with opened() as access, administration(access) as by:
        item = find(access, user)
        if not yes and item.status != "erased" and sys.stdin.isatty():
            question = f"Erase {output.shown(_name(item))} ({item.user_key}), for good?"
            click.confirm(question, abort=True, err=True)
        asyncio.run(_done(by.users.erase(item.user_key, None, command_line())))
        _finish(access.store.storage, item.user_key)
    ended = f" Sessions ended: {by.ended}." if by.changed else ""
    output.talk(f"{_unless(by)}{item.user_key} is erased.{ended}")


def _finish(storage: Storage, user_key: str) -> None:
    """Until no byte of somebody who was erased is left in a file."""
    began = told = time.monotonic()
    while user_key in erasing.finish(storage):
        if time.monotonic() >= told:
            waited = round(time.monotonic() - began)
            output.talk(f"Erased, but a read holds bytes in a file. Waiting for it: {waited} s")
            told += TELL_EVERY
        time.sleep(TRY_EVERY)


Change = Callable[[Administration, str], Awaitable[bool]]


def _permit(user: str, change: Change) -> None:
    item, by = _change(user, change)
    held = ", ".join(item.permissions) or "nothing"
    output.talk(f"{_unless(by)}{_name(item)} has: {held}")


def _change(user: str, change: Change) -> tuple[UserItem, Administering]:
    """Change a user; what it is afterwards, and what that led to."""
    with opened() as access, administration(access) as by:
        user_key = find(access, user).user_key
        asyncio.run(_done(change(by.users, user_key)))
        return find(access, user_key), by


async def _done(change: Awaitable[bool]) -> bool:
    return await change


def _unless(by: Administering) -> str:
    return "" if by.changed else "Nothing to change. "


def _name(item: UserItem) -> str:
    return item.user_id or item.user_key


def _row(item: UserItem) -> str:
    return _line(
        item.user_key,
        item.status,
        str(item.live_sessions),
        item.last_login_at or "-",
        "-" if item.user_id is None else item.user_id,
        " ".join(item.permissions),
    )


def _line(*cells: str) -> str:
    return output.columns(*zip(cells, (29, 8, 8, 27, 20, 0), strict=True))


def _text(value: object) -> str:
    if value is None or value == ():
        return "-"
    return " ".join(value) if isinstance(value, tuple) else str(value)
