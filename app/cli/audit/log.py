"""`gatebook audit log`: the log, event by event."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import rich_click as click

from app import audit
from app.audit import EventItem, Wanted
from app.cli import output
from app.cli.access import opened
from app.cli.administering import find
from app.cli.audit import following
from app.cli.times import Time

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command("log")
@click.option("--user", metavar="USER", help="Events of this user: a user_id or a user_key.")
@click.option("--type", "kind", metavar="TYPE", help="Events of this type: user.logged_in, ...")
@click.option("--since", type=Time(), help="From this moment on.")
@click.option("--until", type=Time(), help="Before this moment.")
@click.option("--follow", is_flag=True, help="Go on as events come, until Ctrl-C.")
@output.json_option
def log(
    user: str | None,
    kind: str | None,
    since: int | None,
    until: int | None,
    *,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the events that the log holds, oldest first."""
    if kind is not None:
        audit.check_type(kind)
    if follow and until is not None:
        msg = "--follow goes on without an end: leave out --until."
        raise click.UsageError(msg)
    with opened() as access:
        store = access.store
        user_key = None if user is None else find(access, user).user_key
        wanted = Wanted(user_key, kind, since, until)
        if not follow:
            _print(audit.events(store.storage, store.vault, wanted), as_json=as_json)
            return
        with suppress(KeyboardInterrupt):
            _print(following.follow(access, wanted), as_json=as_json)


def _print(pages: Iterator[list[EventItem]], *, as_json: bool) -> None:
    for items in pages:
        if as_json:
            output.json_lines(items)
        else:
            output.data(map(line, items))


def line(item: EventItem) -> str:
    """An event on one line, for people."""
    whose = item.user_key or item.stream
    return output.columns(
        (str(item.position), 6),
        (item.time, 27),
        (item.type, 28),
        (whose, 29),
        (" ".join(_words(item)), 0),
    )


def _words(item: EventItem) -> Iterator[str]:
    itself = item.actor == f"user:{item.user_key}"
    yield "actor=itself" if itself else f"actor={item.actor}"
    for name, value in item.data.items():
        yield f"{name}={_short(value)}"
    if item.ip is not None:
        yield f"ip={item.ip}"
    if item.user_agent is not None:
        yield f'user_agent="{item.user_agent}"'
    if item.erased:
        yield "(erased)"


def _short(value: object) -> str:
    match value:
        case None:
            return "-"
        case list() | tuple():
            return ",".join(map(str, value)) or "-"
        case dict():
            return "{...}"
        case _:
            return str(value)
