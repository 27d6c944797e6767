"""What the service answers, as values; members that a newer service adds are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")


class UserKey(msgspec.Struct, frozen=True):
    """Who was registered, or found."""

    user_key: str


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and where the next ones begin."""

    items: list[T]
    next: str | None = None


class Me(msgspec.Struct, frozen=True):
    """The holder of the access token; `expires_at` is the token's end."""

    user_key: str
    user_id: str
    permissions: list[str]
    session_id: str
    registered_at: datetime
    expires_at: datetime


class Session(msgspec.Struct, frozen=True):
    """One session; `kind` is `service` for that of the grant `client_credentials`."""

    session_id: str
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ip: str | None
    user_agent: str | None
    current: bool
    kind: Literal["user", "service"]


class User(msgspec.Struct, frozen=True):
    """A user, as of `position` in the log; one who was erased has no `user_id`."""

    user_key: str
    user_id: str | None
    status: Literal["active", "disabled", "erased"]
    permissions: list[str]
    registered_at: datetime
    last_login_at: datetime | None
    live_sessions: int
    position: int


class Event(msgspec.Struct, frozen=True):
    """One entry of the log; `place` is what to go on from after it (`after=`)."""

    position: int
    stream: str
    version: int
    time: datetime
    type: str
    schema: int
    user_key: str | None
    actor: str
    request_id: str
    ip: str | None
    user_agent: str | None
    erased: bool
    data: dict[str, Any]
    place: str = ""


class ProjectionError(msgspec.Struct, frozen=True):
    """The event that a projection can't apply."""

    position: int
    type: str
    detail: str


class Rebuild(msgspec.Struct, frozen=True):
    """How far a rebuild is."""

    version: int
    position: int
    started_at: datetime
    eta_s: int | None


class Projection(msgspec.Struct, frozen=True):
    """A view, and how far behind the log it is."""

    name: str
    version: int
    mode: Literal["inline", "follow"]
    state: Literal["live", "building", "stalled"]
    position: int
    head: int
    lag: int
    digest: str | None
    digest_position: int | None
    error: ProjectionError | None
    rebuild: Rebuild | None


class SigningKey(msgspec.Struct, frozen=True):
    """A key that signs access tokens, did, or will."""

    kid: str
    algorithm: str
    state: Literal["next", "active", "retired", "withdrawn"]
    created_at: datetime
    active_from: datetime | None
    retired_at: datetime | None
    published_until: datetime | None


class Introspection(msgspec.Struct, frozen=True):
    """What the service says of a token (RFC 7662); of an inactive one, that alone."""

    active: bool
    scope: str = ""
    client_id: str = ""
    username: str = ""
    token_type: str = ""
    exp: int = 0
    iat: int = 0
    sub: str = ""
    aud: str = ""
    iss: str = ""
    jti: str = ""
    sid: str = ""


class Version(msgspec.Struct, frozen=True):
    """Which release answers, and which log it has."""

    version: str
    log_id: str


class Check(msgspec.Struct, frozen=True):
    """One thing that readiness takes."""

    name: str
    ok: bool
    detail: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the service can do its work."""

    status: str
    checks: list[Check]


class Nothing(msgspec.Struct, frozen=True):
    """An answer that says only that it was done."""
