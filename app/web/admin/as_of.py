"""A user as of any of its events, and what that one changed: the slider."""

from typing import Final, NamedTuple

from litestar import Response, get
from litestar.params import FromPath

from app.http.auth import service_of
from app.http.form import FormRequest
from app.replay import SessionState, StateItem
from app.turning import Turn
from app.web.admin.entry import entry_of, shown
from app.web.admin.section import READ_EVENTS, READ_USERS, admin_page, entering, may
from app.web.asked import Number
from app.web.controller import PageController
from app.web.page import moment

_MEMBERS: Final = (
    ("user_id", "Name"),
    ("status", "Status"),
    ("permissions", "Permissions"),
    ("registered_at", "Registered"),
    ("last_login_at", "Last login"),
    ("live_sessions", "Live sessions"),
)
"""What `GET /users/{user_key}?position=N` tells as well."""
_OF_EVENTS: Final = ("secret_version", "Secret version")
_LATEST: Final = 0


class Member(NamedTuple):
    """A member of the state on both sides."""

    name: str
    before: str
    after: str
    changed: bool


class SessionLine(NamedTuple):
    """A session that there was on either side."""

    session: SessionState
    became: str


class AsOfPages(PageController):
    """For whoever may read users, and told no more than the API tells them.

    When it was, and what became of sessions and of the secret, is for whoever may read events.
    """

    @get("/admin/users/{user_key:str}/as-of")
    async def show_turn(
        self, user_key: FromPath[str], request: FormRequest, version: Number = _LATEST
    ) -> Response[bytes]:
        """The user before and after the event of this version, the last one if none is given."""
        entering(request, READ_USERS)
        turn = await service_of(request).turns.turn(user_key, version or None)
        if not may(request, READ_EVENTS):
            members = [_member(turn, *each) for each in _MEMBERS]
            return admin_page(request, "as_of.html", turn=turn, entry=None, members=members)
        return admin_page(
            request,
            "as_of.html",
            turn=turn,
            entry=entry_of(turn.event),
            members=[_member(turn, *each) for each in (*_MEMBERS, _OF_EVENTS)],
            sessions=_sessions(turn),
        )


def _member(turn: Turn, name: str, title: str) -> Member:
    before = None if turn.before is None else getattr(turn.before, name)
    after = getattr(turn.after, name)
    changed = before != after or any(each.member == name for each in turn.changes)
    return Member(title, _text(turn.before, name, before), _text(turn.after, name, after), changed)


def _text(state: StateItem | None, name: str, value: object) -> str:
    if state is None:
        return "not there yet"
    if name == "user_id" and value is None:
        return "erased"
    if isinstance(value, str) and name.endswith("_at"):
        return moment(value)
    return "never" if value is None else shown(value)


def _sessions(turn: Turn) -> list[SessionLine]:
    before = {} if turn.before is None else {each.session_id: each for each in turn.before.sessions}
    after = {each.session_id: each for each in turn.after.sessions}
    return [
        SessionLine(session, _became(before.get(session_id), after.get(session_id)))
        for session_id, session in {**before, **after}.items()
    ]


def _became(before: SessionState | None, after: SessionState | None) -> str:
    if before is None:
        return "begun"
    if after is None:
        return "ended"
    return "" if before == after else "changed"
