"""What each member of a body is, beyond its type: its form, its meaning, an example.

Words for the OpenAPI description; what a schema can't say, they say. Knows no operation.
"""

from __future__ import annotations

from typing import Any, Final

from app.http.problem import BY_CODE
from domain.catalogue import EVENTS
from domain.permission import MAX_PERMISSIONS, PATTERN

Json = dict[str, Any]

PERMISSION: Final = f"^{PATTERN}$"
REQUEST_ID: Final[Json] = {
    "type": "string",
    "pattern": "^[0-9a-f]{32}$",
    "description": "Also in `X-Request-Id` and in the service's log.",
}

_DIGITS: Final = "0-9a-hjkmnp-tv-z"
_EXAMPLE_KEY: Final = "uk_4zrk5n3m7x8q9w2c6d1f0g5h7j"


def _time(meaning: str) -> Json:
    return {
        "type": "string",
        "format": "date-time",
        "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        "description": meaning,
        "examples": ["2026-11-23T17:08:32.000000Z"],
    }


def _number(meaning: str, least: int) -> Json:
    return {"type": "integer", "minimum": least, "description": meaning}


def _permissions(meaning: str) -> Json:
    return {
        "type": "array",
        "items": {"type": "string", "pattern": PERMISSION},
        "maxItems": MAX_PERMISSIONS,
        "description": meaning,
    }


USER_KEY: Final[Json] = {
    "type": "string",
    "pattern": f"^uk_[0-7][{_DIGITS}]{{25}}$",
    "description": "Names the user in requests and is `sub` in tokens. Not secret.",
    "examples": [_EXAMPLE_KEY],
}
SESSION_ID: Final[Json] = {
    "type": "string",
    "pattern": "^[0-9A-Za-z]{22}$",
    "description": "Names the session; `sid` in access tokens.",
}
_SECRET: Final[Json] = {
    "type": "string",
    "minLength": 8,
    "maxLength": 1024,
    "description": "At most 1,024 bytes; a new one is not among the most common.",
    "examples": ["correct horse battery staple"],
}
_PLACE_IN_LOG: Final = "^[0-9A-Za-z]{22}:[0-9]{1,18}$"

ANSWERED: Final[dict[str, Json]] = {
    "user_key": USER_KEY,
    "user_id": {"type": "string", "description": "The name, as typed."},
    "session_id": SESSION_ID,
    "access_token": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
        "description": "A JWT (RFC 9068) for `Authorization: Bearer`.",
    },
    "refresh_token": {
        "type": "string",
        "pattern": "^gbr_[0-9A-Za-z]{77}$",
        "description": "Gets new access tokens at `/refresh`. Secret.",
    },
    "permissions": _permissions("What the user may do, sorted; `admin` implies all."),
    "registered_at": _time("When the user was registered."),
    "request_id": REQUEST_ID,
    "next": {
        "type": "string",
        "description": "Where the next page begins: send it as `after`. Null: there is no more.",
    },
    "ip": {
        "type": "string",
        "description": "The address that it came from. Null where that isn't known or not told.",
    },
    "user_agent": {
        "type": "string",
        "maxLength": 256,
        "description": "What the client called itself. Null where that isn't known or not told.",
    },
    "keys": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["kty", "kid", "alg", "use"],
            "additionalProperties": {"type": "string"},
            "description": "A public key (RFC 7517).",
        },
    },
}
"""What a member of an answer is, whichever answer it is in."""

ANSWERED_IN: Final[dict[str, dict[str, Json]]] = {
    "Me": {
        "permissions": _permissions("What this access token may do now; `admin` implies all."),
        "expires_at": _time("When this access token ends."),
    },
    "SessionItem": {
        "started_at": _time("When the session began."),
        "last_used_at": _time("The last recorded use of its refresh token, or else its start."),
        "expires_at": _time("When it ends if its refresh token isn't used again."),
        "current": {
            "type": "boolean",
            "description": "Whether it is the session of the access token that asked.",
        },
        "kind": {
            "type": "string",
            "enum": ["user", "service"],
            "description": "`service`: the one session of the user's client credentials.",
        },
    },
    "UserItem": {
        "user_id": {"type": "string", "description": "The name, as typed; null once erased."},
        "status": {"type": "string", "enum": ["active", "disabled", "erased"]},
        "last_login_at": _time("When a session last began; null before the first."),
        "live_sessions": _number("How many sessions have not ended.", 0),
        "position": _number("Of the user's last event in the log.", 1),
    },
    "EventItem": {
        "position": _number("Its place in the whole log, from 1, without gaps.", 1),
        "stream": {
            "type": "string",
            "description": "What it is about: a user_key, or `signing_keys`, or `log`.",
            "examples": [_EXAMPLE_KEY],
        },
        "version": _number("Its place in its stream, from 1, without gaps.", 1),
        "time": _time("When it was recorded; never before that of an earlier position."),
        "type": {
            "type": "string",
            "pattern": r"^[a-z_]+\.[a-z_]+$",
            "description": "What happened. Later releases may have more types.",
            "examples": ["user.logged_in"],
        },
        "schema": _number("The version of what `data` looks like for this type.", 1),
        "user_key": {**USER_KEY, "description": "Whom it is about; null where that is nobody."},
        "actor": {
            "type": "string",
            "pattern": f"^(user:uk_[0-7][{_DIGITS}]{{25}}|anonymous|cli|system)$",
            "description": "Who did it: a user, somebody unknown, an operator, or the service.",
        },
        "erased": {
            "type": "boolean",
            "description": "Whether something of it can't be read, as its person was erased.",
        },
        "data": {
            "type": "object",
            "additionalProperties": True,
            "description": "The members of this type and schema of event, as the reference of "
            "events lists them. A hash is never among them.",
            "examples": [{"session_id": "0aZ3kP9vQ2mX7cR5tY1bNw", "by": "secret"}],
        },
    },
    "EventPage": {
        "next": {
            "type": "string",
            "pattern": _PLACE_IN_LOG,
            "description": "Where the next page begins, as LOG_ID:POSITION: send it as `after`. "
            "Null: there is no more now.",
        },
    },
    "KeyItem": {
        "kid": {"type": "string", "description": "Names the key: its thumbprint (RFC 7638)."},
        "algorithm": {"type": "string", "enum": ["ES256", "EdDSA", "RS256"]},
        "state": {"type": "string", "enum": ["next", "active", "retired", "withdrawn"]},
        "created_at": _time("When the key was made and published."),
        "active_from": _time(
            "From when on it signs; null where that isn't settled, or it was withdrawn before."
        ),
        "retired_at": _time("When it ceased to sign; null before."),
        "published_until": _time("Until when verifiers may need it; null where that is open."),
    },
    "ProjectionItem": {
        "name": {"type": "string", "description": "What the view is called."},
        "version": _number("Of the view's shape; 0 before it was ever filled.", 0),
        "mode": {
            "type": "string",
            "enum": ["inline", "follow"],
            "description": "`inline`: written with the events. `follow`: soon after them.",
        },
        "state": {
            "type": "string",
            "enum": ["live", "building", "stalled"],
            "description": "`building`: a rebuild is under way, beside the live table. `stalled`: "
            "it stopped at an event, which `error` names.",
        },
        "position": _number("How far in the log it has come.", 0),
        "head": _number("Where the log ends.", 0),
        "lag": _number("Events between the two.", 0),
        "digest": {
            "type": "string",
            "pattern": "^sha256:[0-9a-f]{64}$",
            "description": "Over its rows, as they were when they were last compared with the log. "
            "Null before that.",
        },
        "digest_position": _number("How far it had come then.", 1),
    },
    "ProjectionError": {
        "position": _number("Of the event that can't be applied, or where tables differ.", 0),
        "type": {
            "type": "string",
            "description": "The event's type, or `rebuild.differs`.",
            "examples": ["user.logged_in"],
        },
        "detail": {"type": "string", "description": "What is wrong, for an operator."},
    },
    "RebuildItem": {
        "version": _number("Of the view's shape that is filled.", 1),
        "position": _number("How far in the log it has come.", 0),
        "started_at": _time("When it was begun."),
        "eta_s": _number("Seconds that it will take still; null while nobody can tell.", 0),
    },
    "TokenAnswer": {
        "token_type": {"type": "string", "const": "Bearer"},
        "expires_in": _number("Seconds that the access token lives.", 1),
        "scope": {"type": "string", "description": "What it may do, space-separated."},
    },
    "Active": {
        "active": {"type": "boolean", "const": True},
        "scope": {"type": "string", "description": "What it may do now, space-separated."},
        "token_type": {"type": "string", "const": "Bearer"},
        "sub": {**USER_KEY, "description": "Whose it is."},
        "sid": SESSION_ID,
    },
    "Inactive": {"active": {"type": "boolean", "const": False}},
    "OAuthError": {
        "error": {
            "type": "string",
            "pattern": "^[a-z_]+$",
            "description": "What OAuth calls it (RFC 6749 §5.2).",
        },
        "error_description": {"type": "string", "description": "What happened, for a person."},
    },
    "RevocationPage": {
        "log_id": {"type": "string", "pattern": "^[0-9A-Za-z]{22}$"},
        "head": _number("How far the log was looked through.", 0),
        "next": {
            "type": "string",
            "pattern": _PLACE_IN_LOG,
            "description": "Where the next page begins: send it as `after`. Null: caught up, go on "
            "from the last item's position.",
        },
    },
    "Revocation": {
        "position": _number("The revocation's place in the log.", 1),
        "until": _time("Until when a token of it could be unexpired."),
        "session_id": SESSION_ID,
        "kid": {"type": "string", "description": "A withdrawn key: whatever it signed is void."},
    },
    "Health": {"status": {"type": "string", "const": "ok"}},
    "Readiness": {"status": {"type": "string", "enum": ["ready", "not ready"]}},
    "Check": {
        "name": {"type": "string", "description": "What was looked at."},
        "detail": {"type": "string", "description": "What was found, for an operator."},
    },
    "Version": {
        "version": {"type": "string", "description": "The release of this service."},
        "log_id": {
            "type": "string",
            "pattern": "^[0-9A-Za-z]{22}$",
            "description": "Names the log. Positions of another log mean nothing in this one.",
        },
    },
}
"""What it is in one answer alone, by the answer's name."""

ASKED: Final[dict[str, Json]] = {
    "user_id": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "description": "A name, in any script; at most 1,024 bytes, and 128 characters when "
        "prepared (RFC 8265). `Ada` and `ada` are one name.",
        "examples": ["ada@example.org"],
    },
    "user_secret": _SECRET,
    "new_user_secret": {
        **_SECRET,
        "description": "The secret from now on. " + _SECRET["description"],
    },
    "user_key": {
        "type": "string",
        "description": "From `/register` or `/userkey`.",
        "examples": [_EXAMPLE_KEY],
    },
    "refresh_token": {
        "type": "string",
        "description": "From `/authenticate`, or the last one from `/refresh`.",
    },
    "rotate": {
        "type": "boolean",
        "default": False,
        "description": "Whether to retire this refresh token for its successor, which is in the "
        "answer.",
    },
    "now": {
        "type": "boolean",
        "default": False,
        "description": "Whether it signs at once; what the key before signed is refused then.",
    },
    "accept": {
        "type": "boolean",
        "default": False,
        "description": "Whether to swap even where the live table differs from what the log says.",
    },
    "permissions": {
        **_permissions("All that the user may do from now on, and nothing else."),
        "examples": [["users:read"]],
    },
}
"""What a member of a request is, as far as a schema can say."""

_CLIENT: Final[dict[str, Json]] = {
    "client_id": {
        "type": "string",
        "description": "The user_key, unless it is in `Authorization`.",
        "examples": [_EXAMPLE_KEY],
    },
    "client_secret": {
        "type": "string",
        "description": "The user_secret, unless it is in `Authorization`.",
    },
}
_OF_A_TOKEN: Final[Json] = {
    "type": "object",
    "required": ["token"],
    "properties": {
        "token": {"type": "string", "description": "An access token or a refresh token."},
        "token_type_hint": {"type": "string", "description": "Not needed, and not looked at."},
        **_CLIENT,
    },
}
FORMS: Final[dict[str, Json]] = {
    "token": {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "enum": ["client_credentials", "refresh_token"]},
            "refresh_token": {"type": "string", "description": "For the grant of that name."},
            "scope": {"type": "string", "description": "Some of the user's permissions."},
            **_CLIENT,
        },
    },
    "introspect": _OF_A_TOKEN,
    "revokeToken": _OF_A_TOKEN,
}
"""The parameters of an operation that takes a form; others are passed over."""

_MOMENT: Final[Json] = {
    "pattern": r"^\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d))?$",
    "examples": ["2026-11-23T17:08:32Z", "2026-11-23"],
}
"""RFC 3339 with `Z` or an offset, or a date."""

PARAMETERS: Final[dict[str, Json]] = {
    "code": {"enum": sorted(BY_CODE)},
    "keep": {"enum": ["current"]},
    "user_key": USER_KEY,
    "session_id": SESSION_ID,
    "at": _MOMENT,
    "position": {"type": "integer", "minimum": 1, "maximum": 10**18 - 1},
    "type": {"enum": sorted(EVENTS)},
    "since": _MOMENT,
    "until": _MOMENT,
}
"""What is added to the schema of a parameter of this name."""
