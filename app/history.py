"""What happened to one user, for the user: its own events, newest first unless asked otherwise.

Reads a snapshot that it is given. Knows no HTTP.
"""

from __future__ import annotations

import msgspec

from app import audit
from app.audit import EventItem, Wanted
from app.eventstore.log import read_head
from app.log_place import log_place, position_of
from app.paging import Page, Part
from app.vault import Vault
from domain.stream import ANONYMOUS, actor_of
from projections.storage import Rows


def page(rows: Rows, vault: Vault, user_key: str, part: Part) -> Page[EventItem]:
    """A part of a user's history, without where other people acted from.

    Raises `InvalidRequest` and `LogChanged` for the place, `Damage` for an event that can't be
    read.
    """
    head = read_head(rows)
    place = None if part.after is None else position_of(part.after, head)
    back = part.order == "desc"
    if back:
        after, last = 0, head.position if place is None else place - 1
    else:
        after, last = place or 0, head.position
    found = audit.read_page(rows, vault, Wanted(user_key), after, last, part.limit + 1, back=back)
    if found.failure is not None:
        raise found.failure
    items = found.items
    shown = items[: part.limit]
    more = len(items) > part.limit
    return Page(
        [_own(each) for each in shown],
        log_place(head.log_id, shown[-1].position) if more else None,
    )


def _own(item: EventItem) -> EventItem:
    if item.user_key is not None and item.actor in {actor_of(item.user_key), ANONYMOUS}:
        return item
    return msgspec.structs.replace(item, ip=None, user_agent=None)
