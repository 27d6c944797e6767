"""Who reads each view, and who reads the log as it is.

Said here, and held by a test that asks a running service for everything that it offers, runs every
command, and finds in the database's own log what it was asked for; and, of what is held in memory,
by one that changes it and sees whose answers change.
"""

from __future__ import annotations

from typing import Final, NamedTuple

LOG: Final = "log"
"""What is read by whoever reads events themselves."""
KEY_RING: Final = "key_ring"
"""What a process holds in memory of the signing keys, folded from their events."""
BEARER: Final = "Authorization: Bearer"
"""Stands for every request with an access token, whatever else it reads."""
COOKIE: Final = "Cookie: gatebook"
"""Stands for every page, looked at with one's session."""

_USERS: Final = "user_directory"
_SESSIONS: Final = "token_lookup"
_REVOCATIONS: Final = "revocations"
_DAYS: Final = "daily_activity"

ADMINISTRATION: Final = (
    "GET /admin",
    "GET /admin/users",
    "GET /admin/users/{user_key}",
    "GET /admin/users/{user_key}/as-of",
    "GET /admin/log",
    "GET /admin/projections",
    "GET /admin/keys",
    "GET /admin/status",
)
"""Its pages."""


class Reader(NamedTuple):
    """One who reads: as the picture names it, what it reads, and the requests or commands.

    A command that names a group stands for every command of the group.
    """

    label: str
    reads: tuple[str, ...]
    asks: tuple[str, ...]


READERS: Final[tuple[Reader, ...]] = (
    Reader("POST /authenticate", (_USERS, KEY_RING), ("POST /authenticate",)),
    Reader("POST /userkey", (_USERS,), ("POST /userkey",)),
    Reader("any access token", (_USERS, _SESSIONS, KEY_RING), (BEARER,)),
    Reader("any page's cookie", (_USERS, _SESSIONS), (COOKIE,)),
    Reader("POST /refresh", (_USERS, _SESSIONS, KEY_RING), ("POST /refresh",)),
    Reader("POST /revoke", (_USERS, _SESSIONS), ("POST /revoke",)),
    Reader(
        "POST /oauth/…",
        (_USERS, _SESSIONS, KEY_RING),
        ("POST /oauth/token", "POST /oauth/introspect", "POST /oauth/revoke"),
    ),
    Reader(
        "GET /users",
        (_USERS, _SESSIONS),
        ("GET /users", "GET /users/{user_key}", "GET /users/{user_key}/sessions"),
    ),
    Reader("/account", (_USERS, _SESSIONS, LOG), ("GET /account",)),
    Reader("/admin", (_USERS, _SESSIONS, _DAYS, KEY_RING, LOG), ADMINISTRATION),
    Reader("gatebook users", (_USERS, _SESSIONS), ("gatebook users",)),
    Reader("gatebook sessions", (_USERS, _SESSIONS), ("gatebook sessions",)),
    Reader("GET /sessions", (_SESSIONS,), ("GET /sessions",)),
    Reader("GET /revocations", (_REVOCATIONS,), ("GET /revocations", "GET /revocations/stream")),
    Reader(
        "gatebook projections",
        (_USERS, _SESSIONS, _REVOCATIONS, _DAYS, LOG),
        ("gatebook projections",),
    ),
    Reader(
        "gatebook audit verify",
        (_USERS, _SESSIONS, _REVOCATIONS, _DAYS, LOG),
        ("gatebook audit verify",),
    ),
    Reader("gatebook audit trace", (_USERS, _SESSIONS, LOG), ("gatebook audit trace",)),
    Reader("gatebook audit replay", (_USERS, _SESSIONS, LOG), ("gatebook audit replay",)),
    Reader("gatebook doctor", (_USERS, LOG), ("gatebook doctor",)),
    Reader("GET /events", (LOG,), ("GET /events", "GET /events/stream")),
    Reader("GET /me/events", (LOG,), ("GET /me/events",)),
    Reader("gatebook audit log", (LOG,), ("gatebook audit log",)),
    Reader("gatebook audit export", (LOG,), ("gatebook audit export", "gatebook backup")),
    Reader("GET …/jwks.json", (KEY_RING,), ("GET /.well-known/jwks.json",)),
    Reader("GET /keys", (KEY_RING,), ("GET /keys", "POST /keys/rotate")),
    Reader("GET /readyz", (KEY_RING,), ("GET /readyz",)),
    Reader("GET /metrics", (KEY_RING,), ("GET /metrics",)),
    Reader("gatebook keys", (KEY_RING,), ("gatebook keys list", "gatebook keys rotate")),
)

PLACES: Final = ("GET /version", "GET /projections")
"""What tells of the log, and of how far views are, and reads neither."""
