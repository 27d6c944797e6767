"""What the service can be asked, each as a value: one place for both kinds of client.

Knows no connection, and no token.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from gatebook_client.answers import (
    Event,
    Introspection,
    Me,
    Nothing,
    Page,
    Projection,
    Readiness,
    Session,
    SigningKey,
    User,
    UserKey,
    Version,
)
from gatebook_client.errors import ConfigurationError
from gatebook_client.service import Asked
from gatebook_client.tokens import Tokens
from gatebook_client.wire import Answer, read

T = TypeVar("T")
Moment = datetime | date | str
"""A datetime with an offset, a date, or RFC 3339 text."""

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
EVENTS: Final = "/events"
EVENT_STREAM: Final = "/events/stream"
_NO_CONTENT: Final = 204


class Operation(msgspec.Struct, Generic[T], frozen=True):
    """One request. One that is not `repeatable` isn't asked again when its answer was lost."""

    method: str
    path: str
    kind: Any
    content: bytes | None = None
    content_type: str = JSON
    bearer: bool = True
    repeatable: bool = True

    def __repr__(self) -> str:
        """Without what is sent."""
        return f"Operation({self.method} {self.path})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What pretty-printers show."""
        return [("method", self.method), ("path", self.path)]

    @property
    def asked(self) -> Asked:
        """The request, without its token."""
        return Asked(
            self.method,
            self.path,
            self.content,
            self.content_type,
            repeatable=self.repeatable,
        )

    def answered(self, answer: Answer) -> T:
        """What an answer means; raises what it refuses with."""
        found: T = read(answer, self.kind)
        return found


class Accepted(msgspec.Struct, frozen=True):
    """Done, or going on in the background."""

    finished: bool


class ErasureOperation(Operation[Accepted], frozen=True):
    """Its answer says by its status whether it is finished."""

    def answered(self, answer: Answer) -> Accepted:
        """What an answer means."""
        if not answer.body:
            return Accepted(answer.status == _NO_CONTENT)
        read(answer, Nothing)
        return Accepted(finished=False)


def register(user_id: str, user_secret: str) -> Operation[UserKey]:
    """Not repeatable: whether its answer was lost is told by `find_user_key`."""
    body = _json(user_id=user_id, user_secret=user_secret)
    return Operation("POST", "/register", UserKey, body, bearer=False, repeatable=False)


def create_user(user_id: str, user_secret: str) -> Operation[UserKey]:
    """As an administrator; not repeatable either."""
    body = _json(user_id=user_id, user_secret=user_secret)
    return Operation("POST", "/users", UserKey, body, repeatable=False)


def find_user_key(user_id: str, user_secret: str) -> Operation[UserKey]:
    """For who lost the key."""
    body = _json(user_id=user_id, user_secret=user_secret)
    return Operation("POST", "/userkey", UserKey, body, bearer=False)


def authenticate(user_key: str, user_secret: str) -> Operation[Tokens]:
    """Begin a session."""
    body = _json(user_key=user_key, user_secret=user_secret)
    return Operation("POST", "/authenticate", Tokens, body, bearer=False)


def refresh(refresh_token: str, *, rotate: bool) -> Operation[Tokens]:
    """Another access token."""
    more = {"rotate": True} if rotate else {}
    body = _json(refresh_token=refresh_token, **more)
    return Operation("POST", "/refresh", Tokens, body, bearer=False)


def revoke(refresh_token: str) -> Operation[Nothing]:
    """End a session."""
    body = _json(refresh_token=refresh_token)
    return Operation("POST", "/revoke", Nothing, body, bearer=False)


def me() -> Operation[Me]:
    """Who asks."""
    return Operation("GET", "/me", Me)


def change_secret(user_secret: str, new_user_secret: str) -> Operation[None]:
    """Of oneself."""
    body = _json(user_secret=user_secret, new_user_secret=new_user_secret)
    return Operation("POST", "/me/secret", type(None), body, repeatable=False)


def erase_me(user_secret: str) -> Operation[Accepted]:
    """Oneself."""
    body = _json(user_secret=user_secret)
    return ErasureOperation("POST", "/me/erase", Nothing, body, repeatable=False)


def sessions(after: str | None, *, of: str | None = None) -> Operation[Page[Session]]:
    """One's own, or another user's."""
    path = "/sessions" if of is None else f"{_user(of)}/sessions"
    return Operation("GET", _with(path, after=after, limit=_LIMIT), Page[Session])


def end_session(session_id: str) -> Operation[None]:
    """One's own."""
    return Operation("DELETE", f"/sessions/{_part(session_id)}", type(None))


def end_sessions(*, keep_current: bool) -> Operation[None]:
    """All of one's own, or all others."""
    keep = "current" if keep_current else None
    return Operation("DELETE", _with("/sessions", keep=keep), type(None))


def end_sessions_of(user_key: str) -> Operation[None]:
    """All of another user's."""
    return Operation("DELETE", f"{_user(user_key)}/sessions", type(None))


def my_events(after: str | None, order: str) -> Operation[Page[Event]]:
    """One's own history."""
    return Operation(
        "GET", _with("/me/events", after=after, limit=_LIMIT, order=order), Page[Event]
    )


def users(after: str | None, user_id: str | None) -> Operation[Page[User]]:
    """All, or the one of this name."""
    return Operation("GET", _with("/users", user_id=user_id, after=after, limit=_LIMIT), Page[User])


def user(user_key: str, at: Moment | None, position: int | None) -> Operation[User]:
    """Now, or as of then."""
    path = _with(_user(user_key), at=moment(at), position=position)
    return Operation("GET", path, User)


def set_permissions(user_key: str, permissions: Collection[str]) -> Operation[User]:
    """These and no others."""
    body = _json(permissions=list(permissions))
    return Operation("PUT", f"{_user(user_key)}/permissions", User, body)


def set_secret(user_key: str, user_secret: str) -> Operation[None]:
    """Of another user."""
    body = _json(user_secret=user_secret)
    return Operation("PUT", f"{_user(user_key)}/secret", type(None), body)


def disable(user_key: str) -> Operation[User]:
    """Ends all sessions."""
    return Operation("POST", f"{_user(user_key)}/disable", User)


def enable(user_key: str) -> Operation[User]:
    """Undo it."""
    return Operation("POST", f"{_user(user_key)}/enable", User)


def erase_user(user_key: str) -> Operation[Accepted]:
    """Another user."""
    return ErasureOperation("DELETE", _user(user_key), Nothing)


def events(after: str | None, order: str, wanted: Mapping[str, Any]) -> Operation[Page[Event]]:
    """A part of the log."""
    path = _with(EVENTS, **wanted, after=after, order=order, limit=_LIMIT)
    return Operation("GET", path, Page[Event])


def newest_event() -> Operation[Page[Event]]:
    """Where the log ends."""
    return Operation("GET", _with(EVENTS, order="desc", limit=1), Page[Event])


def event_stream(user_key: str | None, type_: str | None) -> str:
    """The path of the log as it happens."""
    return _with(EVENT_STREAM, user_key=user_key, type=type_)


def projections() -> Operation[Page[Projection]]:
    """All views."""
    return Operation("GET", "/projections", Page[Projection])


def rebuild(name: str, *, accept: bool) -> Operation[Projection]:
    """Fill a view anew."""
    body = _json(accept=accept)
    path = f"/projections/{_part(name)}/rebuild"
    return Operation("POST", path, Projection, body, repeatable=False)


def cancel_rebuild(name: str) -> Operation[None]:
    """Leave it as it is."""
    return Operation("DELETE", f"/projections/{_part(name)}/rebuild", type(None))


def keys() -> Operation[Page[SigningKey]]:
    """All signing keys."""
    return Operation("GET", "/keys", Page[SigningKey])


def rotate_keys(*, now: bool) -> Operation[Page[SigningKey]]:
    """Twice would be two keys when `now`."""
    return Operation("POST", "/keys/rotate", Page[SigningKey], _json(now=now), repeatable=not now)


def introspect(token: str) -> Operation[Introspection]:
    """RFC 7662."""
    content = urlencode({"token": token}).encode()
    return Operation("POST", "/oauth/introspect", Introspection, content, FORM)


def version() -> Operation[Version]:
    """Of the service."""
    return Operation("GET", "/version", Version, bearer=False)


def readiness() -> Operation[Readiness]:
    """Of the service."""
    return Operation("GET", "/readyz", Readiness, bearer=False)


def moment(given: Moment | None) -> str | None:
    """A time as the service reads it; raises ConfigurationError for one without an offset."""
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ConfigurationError("A time has no offset: give datetime(…, tzinfo=UTC).")
        return given.isoformat()
    return given.isoformat() if isinstance(given, date) else given


_LIMIT: Final = 1000


def _json(**members: object) -> bytes:
    return msgspec.json.encode(members)


def _with(path: str, **query: str | int | None) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _user(user_key: str) -> str:
    return f"/users/{_part(user_key)}"


def _part(text: str) -> str:
    return quote(text, safe="")
