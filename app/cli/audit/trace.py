"""`gatebook audit trace`: what one refresh token did, and the end of its session."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Final

import rich_click as click

from app import bootstrap
from app.caller import command_line
from app.cli import output
from app.cli.access import opened
from app.cli.administering import administration, directory_of
from app.cli.audit.log import line
from app.cli.progress import progress
from app.clock import now
from app.tracing import Address, TraceItem, Tracing, recognised
from domain.commands import EndSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.cli.access import Access
    from app.cli.administering import Administering

_MOST: Final = 16_384
_HEADER: Final = ("IP", "FIRST_AT", "LAST_AT", "COUNT", "USER_AGENT")


@click.command("trace")
@click.option("--end", is_flag=True, help="End its session first.")
@output.json_option
def trace(*, end: bool, as_json: bool) -> None:
    """Print what is recorded of a refresh token, which is read from stdin.

    Whose it is, whether it is the current one of its session or was retired, whether that session
    lives or why it ended, from where it was used, and every event of it. This is no use of the
    token, and counts as no reuse. With --end its session ends: also when the token was retired.
    """
    text = _read_token()
    with opened() as access:
        tracing = Tracing(access.store, directory_of(access), bootstrap.policy_of(access.settings))
        token = recognised(text, access.store.ring.refresh)
        found = tracing.find(token.session_id)
        if found is None:
            head = tracing.head()
            with progress("Log looked through for its session", head) as advance:
                found = tracing.look_through(token.session_id, head, advance)
        changed = end and _end(access, EndSession(found.user_key, token.session_id, "admin"))
        head = tracing.head()
        with progress("Log read", head - found.after) as advance:
            item = tracing.trace(token, found, head, now(), advance)
    if as_json:
        output.json_lines([item])
    else:
        output.data(_lines(item))
    if end:
        name = item.user_id or item.user_key
        nothing = "" if changed else "Nothing to change. "
        output.talk(f"{nothing}This session of {name} is over.")


def _read_token() -> str:
    """From stdin without the spaces around it, or asked for on a terminal; never an argument."""
    if sys.stdin.isatty():
        asked: str = click.prompt("Refresh token", hide_input=True, err=True)
        return asked.strip()
    return sys.stdin.buffer.read(_MOST).decode("ascii", "replace").strip()


def _end(access: Access, command: EndSession) -> bool:
    """Whether there was anything to end."""
    with administration(access) as by:
        asyncio.run(_dispatched(by, command))
        return by.changed


async def _dispatched(by: Administering, command: EndSession) -> None:
    await by.dispatch(command, command_line())


def _lines(item: TraceItem) -> Iterator[str]:
    token = f"{item.token}, generation {item.generation} of {item.current_generation}"
    if item.retired_at is not None:
        token += f", retired at {item.retired_at}"
    session: str = item.session
    if item.ended_at is not None:
        session += f" at {item.ended_at}, why: {item.ended_why}"
    for name, value in (
        ("user_key", item.user_key),
        ("user_id", "-" if item.user_id is None else item.user_id),
        ("session_id", item.session_id),
        ("token", token),
        ("session", session),
        ("kind", item.kind),
        ("started_at", item.started_at),
        ("last_used_at", item.last_used_at),
        ("expires_at", item.expires_at),
    ):
        yield output.columns((name, 12), (value, 0))
    yield from ("", _row(*_HEADER))
    yield from map(_address, item.addresses)
    yield ""
    yield from map(line, item.events)


def _address(each: Address) -> str:
    return _row(
        each.ip or "-", each.first_at, each.last_at, str(each.count), each.user_agent or "-"
    )


def _row(*cells: str) -> str:
    return output.columns(*zip(cells, (15, 27, 27, 5, 0), strict=True))
