"""`gatebook users`: who there is, and what each may do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec
import rich_click as click

from app import bootstrap
from app.administration import Administration, Directory, UserItem
from app.caller import command_line
from app.cli import output
from app.cli.access import Access, opened
from app.clock import now
from app.opening import Opener
from app.passwords import HashPool
from app.registration import Registration
from app.writer import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.commands import Command
    from domain.stream import Meta, Recorded

PAGE: Final = 1000
_HEADER: Final = ("USER_KEY", "STATUS", "SESSIONS", "LAST_LOGIN_AT", "USER_ID", "PERMISSIONS")


@click.group("users")
def command() -> None:
    """List users, make them, and say what they may do.

    USER is a user_id or a user_key.
    """


@command.command("list")
@output.json_option
def list_users(*, as_json: bool) -> None:
    """List all users, in the order of their registration."""
    with opened() as access:
        directory, after = directory_of(access), 0
        if not as_json:
            output.data([_line(*_HEADER)])
        while True:
            with access.store.storage.snapshot() as rows:
                page = directory.page(rows, after, PAGE, now())
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
        item = _find(access, user)
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
    with opened(make=True) as access, _administration(access) as administration:
        user_key = asyncio.run(administration.create(user_id, secret, command_line()))
    output.data([user_key])


@command.command("grant")
@click.argument("user")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
def grant(user: str, permissions: tuple[str, ...]) -> None:
    """Give a user permissions; `admin` implies all.

    They count from the user's next refresh on.
    """
    _change(user, permissions, lambda by: by.grant)


@command.command("revoke")
@click.argument("user")
@click.argument("permissions", metavar="PERMISSION...", nargs=-1, required=True)
def revoke(user: str, permissions: tuple[str, ...]) -> None:
    """Take permissions from a user.

    Here and in introspection they stop working at once.
    """
    _change(user, permissions, lambda by: by.withdraw)


Change = Callable[[str, Sequence[str], "Meta"], Awaitable[bool]]


def directory_of(access: Access) -> Directory:
    """What reads the users of a store."""
    store = access.store
    return Directory(Opener(store.vault), store.ring, bootstrap.policy_of(access.settings))


def _change(
    user: str, permissions: tuple[str, ...], which: Callable[[Administration], Change]
) -> None:
    with opened() as access, _administration(access) as administration:
        user_key = _find(access, user).user_key
        changed = asyncio.run(_done(which(administration)(user_key, permissions, command_line())))
        item = _find(access, user_key)
    name, held = item.user_id or user_key, ", ".join(item.permissions) or "nothing"
    output.talk(f"{'' if changed else 'Nothing to change. '}{name} has: {held}")


async def _done(change: Awaitable[bool]) -> bool:
    return await change


@contextmanager
def _administration(access: Access) -> Iterator[Administration]:
    settings = access.settings
    writer = bootstrap.open_writer(access.store, settings)
    pool = HashPool(threads=1, memory_kib=settings.hash_memory_kib, time_cost=settings.hash_time)

    async def dispatch(command: Command, meta: Meta) -> tuple[Recorded, ...]:
        (answer,) = writer.commit([Wish(command, meta)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    try:
        yield Administration(dispatch, Registration(dispatch, pool, bootstrap.rules_of(settings)))
    finally:
        pool.close()


def _find(access: Access, user: str) -> UserItem:
    with access.store.storage.snapshot() as rows:
        return directory_of(access).find(rows, user, now())


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
