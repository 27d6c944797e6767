"""`gatebook keys`: the keys that sign access tokens, and the one that wraps all others."""

from __future__ import annotations

import asyncio
from typing import Final

import rich_click as click

from app.caller import command_line
from app.cli import output
from app.cli.access import Access, opened
from app.cli.administering import administration
from app.clock import now
from app.rewrapping import rewrap as rewrap_all
from app.signing_keys import KeyItem, KeyRotation, items
from app.tokens.key_ring import KeyRing

_HEADER: Final = ("KID", "STATE", "ALGORITHM", "ACTIVE_FROM", "PUBLISHED_UNTIL")


@click.group("keys")
def command() -> None:
    """List the signing keys, rotate them, and change the master key."""


@command.command("list")
@output.json_option
def list_keys(*, as_json: bool) -> None:
    """List the signing keys, in the order in which they were made."""
    with opened() as access:
        found = _items(access)
    if as_json:
        output.json_lines(found)
    else:
        output.data([_line(*_HEADER), *map(_row, found)])


@command.command("rotate")
@click.option("--now", "at_once", is_flag=True, help="The key leaked: refuse what it signed.")
def rotate(*, at_once: bool) -> None:
    """Let a new signing key take over.

    It is published first, and signs once every verifier that caches as it may knows it: after
    twice GATEBOOK_JWKS_MAX_AGE. While one waits, another call changes nothing. With --now it signs
    at once, and every token that the old key signed is refused.
    """
    with opened() as access, administration(access) as by:
        rotation = KeyRotation(by.dispatch, access.store.vault, access.settings)
        changed = asyncio.run(rotation.rotate(command_line(), at_once=at_once))
        newest = _items(access)[-1]
    if changed:
        output.talk(f"The key {newest.kid} signs from {newest.active_from}.")
    else:
        output.talk(f"Nothing to change. The key {newest.kid} waits to sign.")


@command.command("rewrap")
def rewrap() -> None:
    """Wrap every key anew, under the master key that is set now.

    Set GATEBOOK_MASTER_KEY to the new one and GATEBOOK_MASTER_KEY_PREVIOUS to the old one, restart
    the service so, run this, and then drop the old one. Where the service is several processes,
    restart each with the two exchanged before, so that all open what any of them wraps. It may be
    broken off and run again.
    """
    with opened() as access:
        count = 0

        def done(some: int) -> None:
            nonlocal count
            count += some
            if some:
                output.talk(f"Keys wrapped anew: {count}")

        total = rewrap_all(access.store.storage, access.store.vault, done)
    output.talk(f"{total or 'No'} keys were left under another master key; none is now.")


def _items(access: Access) -> list[KeyItem]:
    return items(KeyRing(access.store).known, now())


def _row(item: KeyItem) -> str:
    return _line(
        item.kid, item.state, item.algorithm, item.active_from or "-", item.published_until or "-"
    )


def _line(*cells: str) -> str:
    return output.columns(*zip(cells, (43, 9, 9, 27, 0), strict=True))
