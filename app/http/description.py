"""The OpenAPI 3.1 description, made exact: no member, status, header or problem is left open.

Litestar reads handlers and Structs; what it can't say is added here from the same tables that
answers are made of. Knows no request.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, get_args

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from app.http.explanation import EXPLANATIONS
from app.http.problem import BY_CODE, MEDIA_TYPE, status_of
from app.http.problems import Refusals
from domain import errors
from domain.errors import GatebookError, TokenRefusal

Json = dict[str, Any]

_DIGITS: Final = "0-9a-hjkmnp-tv-z"
_TIME: Final = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
    "examples": ["2026-11-23T17:08:32.000000Z"],
}
_TOKEN: Final = {
    "type": "string",
    "pattern": r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$",
    "description": "A JWT (RFC 9068) for `Authorization: Bearer`.",
}
_REQUEST_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}

_ANSWERED: Final[dict[str, Json]] = {
    "user_key": {
        "type": "string",
        "pattern": f"^uk_[0-7][{_DIGITS}]{{25}}$",
        "description": "Names the user in requests and is `sub` in tokens. Not secret.",
        "examples": ["uk_4zrk5n3m7x8q9w2c6d1f0g5h7j"],
    },
    "user_id": {"type": "string", "description": "The name, as typed."},
    "session_id": {"type": "string", "pattern": "^[0-9A-Za-z]{22}$"},
    "access_token": _TOKEN,
    "refresh_token": {
        "type": "string",
        "pattern": "^gbr_[0-9A-Za-z]{77}$",
        "description": "Gets new access tokens at `/refresh`. Secret.",
    },
    "permissions": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[a-z][a-z0-9_.:-]{0,63}$"},
        "maxItems": 64,
    },
    "registered_at": _TIME,
    "expires_at": _TIME,
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
"""What a member of an answer looks like, whichever answer it is in."""

_ASKED: Final[dict[str, Json]] = {
    "user_id": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1024,
        "description": "A name, in any script; at most 1,024 bytes, and 128 characters when "
        "prepared (RFC 8265). `Ada` and `ada` are one name.",
        "examples": ["ada@example.org"],
    },
    "user_secret": {
        "type": "string",
        "minLength": 8,
        "maxLength": 1024,
        "description": "At most 1,024 bytes; a new one is not among the most common.",
        "examples": ["correct horse battery staple"],
    },
    "user_key": {
        "type": "string",
        "description": "From `/register` or `/userkey`.",
        "examples": ["uk_4zrk5n3m7x8q9w2c6d1f0g5h7j"],
    },
    "refresh_token": {"type": "string", "description": "From `/authenticate`."},
    "rotate": {
        "type": "boolean",
        "const": False,
        "default": False,
        "description": "This release doesn't rotate refresh tokens.",
    },
}
"""What a member of a request is, as far as a schema can say."""

_HEADERS: Final[dict[str, Json]] = {
    "X-Request-Id": {
        "description": "Names this request in the log.",
        "required": True,
        "schema": _REQUEST_ID,
    },
    "Cache-Control": {
        "description": "`no-store`, unless others may keep the answer.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next attempt.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate (RFC 6750 §3).",
        "required": True,
        "schema": {
            "type": "string",
            "enum": ['Bearer realm="gatebook"', 'Bearer realm="gatebook", error="invalid_token"'],
        },
    },
    "ETag": {
        "description": "For `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
    },
}
_MORE_HEADERS: Final = {429: ("Retry-After",), 503: ("Retry-After",), 401: ("WWW-Authenticate",)}
"""Of a problem, by its status."""
_WITH_ETAG: Final = frozenset({"showKeys"})
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the answer that you have.",
    "schema": {"type": "string"},
}
_LINKS: Final = {
    "register": ("authenticate", {"user_key": "response", "user_secret": "request"}),
    "findUserKey": ("authenticate", {"user_key": "response", "user_secret": "request"}),
    "authenticate": ("refresh", {"refresh_token": "response"}),
    "refresh": ("revoke", {"refresh_token": "request"}),
}
"""What comes next, and from which of the two bodies its members are."""


def describe(app: Litestar) -> Json:
    """The whole description, as JSON values, in a stable order."""
    document: Json = app.openapi_schema.to_schema()
    components = document["components"]
    asked: set[str] = set()
    problems: set[str] = set()
    for handler, operation in _operations(app, document):
        asked.update(_describe_request(operation))
        problems.update(_describe_answers(handler, operation))
    schemas = components["schemas"]
    del schemas["Problem"]
    for name, schema in schemas.items():
        _close(schema, _ASKED if name in asked else _ANSWERED)
    schemas.update({_component(code): _problem(code) for code in problems})
    components["schemas"] = dict(sorted(schemas.items()))
    components["headers"] = _HEADERS
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _operations(app: Litestar, document: Json) -> Iterator[tuple[HTTPRouteHandler, Json]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path_format in document["paths"]:
            for method, (handler, _) in route.route_handler_map.items():
                operation = document["paths"][route.path_format].get(method.lower())
                if operation is not None:
                    yield handler, operation


def _describe_request(operation: Json) -> Iterator[str]:
    """Name the components that are asked for."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield content["schema"]["$ref"].rpartition("/")[2]
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "code":
            parameter["schema"]["enum"] = sorted(EXPLANATIONS)
    if operation["operationId"] in _WITH_ETAG:
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)


def _describe_answers(handler: HTTPRouteHandler, operation: Json) -> Iterator[str]:
    """Keep the answers that are declared, complete them, and name the problems among them."""
    declared = handler.responses or {}
    answers = {}
    for status in sorted({handler.status_code, *declared}):
        answer = operation["responses"][str(status)]
        names = ["X-Request-Id", "Cache-Control"]
        spec = declared.get(status)
        if isinstance(spec, Refusals):
            references = [{"$ref": f"#/components/schemas/{_component(c)}"} for c in spec.codes]
            schema = references[0] if len(references) == 1 else {"oneOf": references}
            answer["content"] = {MEDIA_TYPE: {"schema": schema}}
            names += _MORE_HEADERS.get(status, ())
            yield from spec.codes
        elif operation["operationId"] in _WITH_ETAG:
            names.append("ETag")
        if spec is None:
            answer["description"] = operation["summary"]
            if operation["operationId"] in _LINKS:
                answer["links"] = _link(*_LINKS[operation["operationId"]])
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
        for content in answer.get("content", {}).values():
            content["schema"] = _without_null(content["schema"])
        answers[str(status)] = answer
    operation["responses"] = answers


def _link(operation_id: str, members: dict[str, str]) -> Json:
    body = {name: f"${source}.body#/{name}" for name, source in members.items()}
    return {operation_id: {"operationId": operation_id, "requestBody": body}}


def _without_null(schema: Json) -> Json:
    """A handler's `X | None` is X here: what has no body is an answer of another status."""
    others = [each for each in schema.get("oneOf", ()) if each != {"type": "null"}]
    return others[0] if len(others) == 1 else schema


def _close(schema: Json, words: dict[str, Json]) -> None:
    """Bodies have exactly these members."""
    schema["additionalProperties"] = False
    properties = schema["properties"]
    schema["properties"] = {name: words.get(name, found) for name, found in properties.items()}


def _component(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_")) + "Problem"


def _problem(code: str) -> Json:
    """The problem of this code: exactly these members (RFC 9457 §3)."""
    cls: type[GatebookError] = BY_CODE[code]
    members: Json = {
        "type": {"type": "string", "format": "uri", "pattern": f"/errors/{code}$"},
        "title": {"type": "string", "const": cls.title},
        "status": {"type": "integer", "const": status_of(cls)},
        "detail": {"type": "string", "description": "What happened, for a person."},
        "code": {"type": "string", "const": code},
        "request_id": _REQUEST_ID,
    }
    required = list(members)
    if issubclass(cls, errors.InvalidRequest):
        fault = {"$ref": "#/components/schemas/Fault"}
        members["errors"] = {"type": "array", "items": fault, "minItems": 1}
        required.append("errors")
    if issubclass(cls, errors.InvalidToken):
        members["reason"] = {
            "type": "string",
            "enum": list(get_args(TokenRefusal)),
            "description": "Only of a token that was good once.",
        }
    if issubclass(cls, errors.InsufficientPermission):
        members["permission"] = {"type": "string", "description": "The one that is missing."}
        required.append("permission")
    return {
        "type": "object",
        "title": cls.title,
        "description": (cls.__doc__ or "").strip(),
        "required": required,
        "properties": members,
        "additionalProperties": False,
    }
