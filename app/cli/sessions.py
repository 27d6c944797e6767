"""`gatebook sessions`: where a user is logged in, and ending that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import rich_click as click

from app import bootstrap
from app.caller import command_line
from app.cli import output
from app.cli.access import opened
from app.cli.administering import Administering, administration, find
from app.clock import now
from app.opening import Opener
from app.paging import Part
from app.session_list import SessionItem, SessionList
from domain.commands import EndSession
from domain.errors import NotFound
from domain.refresh_token import is_session_id
from projections.token_lookup import LOOK_UP, TokenRow

if TYPE_CHECKING:
    from app.cli.access import Access

PAGE: Final = 1000
_HEADER: Final = ("SESSION_ID", "KIND", "STARTED_AT", "LAST_USED_AT", "IP", "USER_AGENT")


@click.group("sessions")
def command() -> None:
    """List a user's sessions, and end them.

    USER is a user_id or a user_key. A session that is over is refused from that moment on, by
    every process of the service.
    """


@command.command("list")
@click.argument("user")
@output.json_option
def list_sessions(user: str, *, as_json: bool) -> None:
    """List the live sessions of a user, in the order in which they began."""
    with opened() as access:
        user_key, after = find(access, user).user_key, None
        if not as_json:
            output.data([_line(*_HEADER)])
        while True:
            with access.store.snapshot() as rows:
                page = _list_of(access).page(rows, user_key, Part(PAGE, after), now())
            if as_json:
                output.json_lines(page.items)
            else:
                output.data(map(_row, page.items))
            if page.next is None:
                return
            after = page.next


@command.command("end")
@click.argument("session")
def end(session: str) -> None:
    """End a session by its session_id.

    `sessions list` shows it. It also stands in the session's tokens: the 22 characters after
    `gbr_` in a refresh token, and `sid` in an access token.
    """
    if session.startswith("gbr_") or "." in session:
        msg = "This is a token, and arguments are no place for one. Give its session_id: see -h."
        raise click.UsageError(msg)
    with opened() as access, administration(access) as by:
        found = []
        if is_session_id(session):
            with access.store.snapshot() as rows:
                found = [row for row in rows.fetch(LOOK_UP, (session,)) if row[0] is not None]
        if not found:
            msg = "There is no session of this id, or it has been over for more than 30 days."
            raise NotFound(msg)
        user_key = TokenRow.of(found[0]).user_key
        name = find(access, user_key).user_id or user_key
        asyncio.run(_ended(by, EndSession(user_key, session, "admin")))
    output.talk(f"{'' if by.changed else 'Nothing to change. '}This session of {name} is over.")


@command.command("end-all")
@click.argument("user")
def end_all(user: str) -> None:
    """End every session of a user."""
    with opened() as access, administration(access) as by:
        item = find(access, user)
        asyncio.run(by.users.end_sessions(item.user_key, None, command_line()))
    name = item.user_id or item.user_key
    output.talk(f"{name} is logged in nowhere. Sessions ended: {by.ended}.")


async def _ended(by: Administering, ending: EndSession) -> None:
    await by.dispatch(ending, command_line())


def _list_of(access: Access) -> SessionList:
    return SessionList(Opener(access.store.vault), bootstrap.policy_of(access.settings))


def _row(item: SessionItem) -> str:
    return _line(
        item.session_id,
        item.kind,
        item.started_at,
        item.last_used_at,
        item.ip or "-",
        item.user_agent or "-",
    )


def _line(*cells: str) -> str:
    return output.columns(*zip(cells, (22, 7, 27, 27, 15, 0), strict=True))
