"""The log as a timeline: newest first, by user, type and time, and as it happens."""

from typing import Any, Final
from urllib.parse import urlencode

from litestar import Response, get

from app.http.auth import service_of
from app.http.form import FormRequest
from app.log_place import log_place
from app.paging import Part
from app.web.admin.entry import entry_of
from app.web.admin.filter import Filter, filter_of
from app.web.admin.section import READ_EVENTS, READ_USERS, admin_page, entering, may
from app.web.asked import EventType, Text, Word
from app.web.controller import PageController
from domain.catalogue import EVENTS

_PART: Final = 30


class LogPages(PageController):
    """For whoever may read events."""

    @get("/admin/log")
    async def show_log(
        self,
        request: FormRequest,
        user: Text = "",
        kind: EventType = "",
        since: Text = "",
        until: Text = "",
        after: Word = "",
    ) -> Response[bytes]:
        """A part of the wanted events; with what can't be wanted, none."""
        entering(request, READ_EVENTS)
        service = service_of(request)
        head = await service.lookup.head()
        chosen = await filter_of(
            service, (user, kind, since, until), names=may(request, READ_USERS)
        )
        told = _told(chosen, log_place(head.log_id, head.position), after)
        if chosen.errors:
            return admin_page(request, "log.html", status=400, entries=[], next=None, **told)
        found = await service.event_pages.page(chosen.wanted, Part(_PART, after or None, "desc"))
        entries = [entry_of(each) for each in found.items]
        return admin_page(request, "log.html", entries=entries, next=found.next, **told)


def _told(chosen: Filter, place: str, after: str) -> dict[str, Any]:
    """What the page tells besides the events; `live` is where the events to come are heard."""
    query = urlencode({name: value for name, value in chosen.values.items() if value})
    wanted, live = chosen.wanted, ""
    if not after and wanted.until is None and not chosen.errors:
        named = {"user_key": wanted.user_key, "type": wanted.type, "after": place}
        live = urlencode({name: value for name, value in named.items() if value})
    return {
        "values": chosen.values,
        "errors": chosen.errors,
        "filtered": bool(query),
        "query": f"{query}&" if query else "",
        "types": sorted(EVENTS),
        "live": live,
        "after": after,
    }
