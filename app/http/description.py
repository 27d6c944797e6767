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

from app.http.member import (
    ANSWERED,
    ANSWERED_IN,
    ASKED,
    FORMS,
    PARAMETERS,
    PERMISSION,
    REQUEST_ID,
)
from app.http.oauth_error import OAuthErrors
from app.http.problem import BY_CODE, MEDIA_TYPE, status_of
from app.http.problems import Refusals
from app.http.stream import LINES
from domain import errors
from domain.errors import GatebookError, TokenRefusal

Json = dict[str, Any]

_HEADERS: Final[dict[str, Json]] = {
    "X-Request-Id": {
        "description": "Names this request in the log.",
        "required": True,
        "schema": {"type": "string", "pattern": REQUEST_ID["pattern"]},
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
    "WWW-Authenticate-Basic": {
        "description": "How a client authenticates (RFC 7617).",
        "required": True,
        "schema": {"type": "string", "pattern": "^Basic "},
    },
    "Link": {
        "description": "Leads to the next page, as seen from this one (RFC 8288); not on the last.",
        "required": False,
        "schema": {"type": "string", "pattern": '^<[^<>]+>; rel="next"$'},
    },
    "ETag": {
        "description": "For `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
    },
}
_MORE_HEADERS: Final = {429: ("Retry-After",), 503: ("Retry-After",), 401: ("WWW-Authenticate",)}
"""Of a problem, by its status."""
_OF_OAUTH: Final = {**_MORE_HEADERS, 401: ("WWW-Authenticate-Basic",)}
"""Of an error of OAuth."""
_NULL: Final = {"type": "null"}
_WITHOUT_BODY: Final = frozenset({"revokeToken"})
_WITH_ETAG: Final = frozenset({"showKeys"})
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the answer that you have.",
    "schema": {"type": "string"},
}
_AS_LINES: Final = {"listEvents": ("EventPage", "EventItem")}
"""What is a page, or on demand lines of its items: the components."""
_AS_PAGE: Final = frozenset({"explainError"})
"""What a browser gets as a page."""
_SAME_USER: Final = {"user_key": "$request.path.user_key"}
_LOGGED_IN: Final = {
    "user_key": "$response.body#/user_key",
    "user_secret": "$request.body#/user_secret",
}
_LINKS: Final[dict[str, dict[str, Json]]] = {
    "register": {"authenticate": {"requestBody": _LOGGED_IN}},
    "findUserKey": {"authenticate": {"requestBody": _LOGGED_IN}},
    "authenticate": {
        "refresh": {"requestBody": {"refresh_token": "$response.body#/refresh_token"}}
    },
    "refresh": {"revoke": {"requestBody": {"refresh_token": "$request.body#/refresh_token"}}},
    "listMySessions": {
        "endMySession": {"parameters": {"session_id": "$response.body#/items/0/session_id"}}
    },
    "createUser": {
        "showUser": {"parameters": {"user_key": "$response.body#/user_key"}},
        "authenticate": {"requestBody": _LOGGED_IN},
    },
    "listUsers": {"showUser": {"parameters": {"user_key": "$response.body#/items/0/user_key"}}},
    "showUser": {
        "listSessionsOfUser": {"parameters": _SAME_USER},
        "disableUser": {"parameters": _SAME_USER},
    },
    "disableUser": {"enableUser": {"parameters": _SAME_USER}},
}
"""What comes next, and from where its parameters or the members of its body are."""


def describe(app: Litestar) -> Json:
    """The whole description, as JSON values, in a stable order."""
    document: Json = app.openapi_schema.to_schema()
    components = document["components"]
    asked: set[str] = set()
    problems: set[str] = set()
    for handler, operation in _operations(app, document):
        asked.update(_describe_request(operation))
        if operation["operationId"] in _AS_LINES:
            _describe_lines(operation, *_AS_LINES[operation["operationId"]])
        if operation["operationId"] in _AS_PAGE:
            content = {kind: {"schema": {"type": "string"}} for kind in ("text/html", "text/plain")}
            operation["responses"]["200"]["content"] = content
        problems.update(_describe_answers(handler, operation))
    schemas = components["schemas"]
    del schemas["Problem"]
    for name, schema in schemas.items():
        _close(schema, ASKED if name in asked else ANSWERED | ANSWERED_IN.get(name, {}))
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
    form = FORMS.get(operation["operationId"])
    if form is not None:
        content = {"application/x-www-form-urlencoded": {"schema": form}}
        operation["requestBody"] = {"required": True, "content": content}
        operation["security"] = [{"client": []}, {}]
        return
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield content["schema"]["$ref"].rpartition("/")[2]
    for parameter in operation.get("parameters", ()):
        _describe_parameter(parameter)
    if operation["operationId"] in _WITH_ETAG:
        operation.setdefault("parameters", []).append(_IF_NONE_MATCH)


def _describe_parameter(parameter: Json) -> None:
    """An empty default is as none; bounds are whole numbers."""
    schema = parameter["schema"] | PARAMETERS.get(parameter["name"], {})
    if schema.get("default") == "":
        del schema["default"]
    bounds = {name: int(schema[name]) for name in ("minimum", "maximum") if name in schema}
    meaning = schema.pop("description", None)
    parameter["schema"] = schema | bounds
    if meaning is not None:
        parameter.setdefault("description", meaning)


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
        elif isinstance(spec, OAuthErrors):
            names += _OF_OAUTH.get(status, ())
        elif operation["operationId"] in _WITH_ETAG:
            names.append("ETag")
        elif _is_page(answer):
            names.append("Link")
        if spec is None:
            answer["description"] = operation["summary"]
            links = _LINKS.get(operation["operationId"], {})
            if links:
                answer["links"] = {name: {"operationId": name, **links[name]} for name in links}
        answer["headers"] = {
            name.removesuffix("-Basic"): {"$ref": f"#/components/headers/{name}"} for name in names
        }
        if operation["operationId"] in _WITHOUT_BODY:
            answer = {name: each for name, each in answer.items() if spec or name != "content"}
        for content in answer.get("content", {}).values():
            content["schema"] = _without_null(content["schema"])
        answers[str(status)] = answer
    operation["responses"] = answers


def _describe_lines(operation: Json, page: str, item: str) -> None:
    """As JSON a page; as lines all of it, each line an item (there is no schema for that)."""
    lines = {"type": "string", "description": f"One `{item}` a line, each line with its end."}
    operation["responses"]["200"]["content"] = {
        "application/json": {"schema": {"$ref": f"#/components/schemas/{page}"}},
        LINES: {"schema": lines},
    }


def _is_page(answer: Json) -> bool:
    """Whether it is a part of a list, which may have a next one."""
    schemas = (content["schema"] for content in answer.get("content", {}).values())
    return any(schema.get("$ref", "").endswith("Page") for schema in schemas)


def _without_null(schema: Json) -> Json:
    """A handler's `X | None` is X here: what has no body is an answer of another status."""
    others = [each for each in schema.get("oneOf", ()) if each != _NULL]
    return others[0] if len(others) == 1 else schema


def _close(schema: Json, words: dict[str, Json]) -> None:
    """Bodies have exactly these members."""
    schema["additionalProperties"] = False
    properties = schema["properties"]
    schema["properties"] = {name: _member(words, name, properties[name]) for name in properties}


def _member(words: dict[str, Json], name: str, found: Json) -> Json:
    """The words for a member, which may be null where its type says so."""
    word = words.get(name, found)
    if word is found or found == _NULL:
        return found
    return word | {"type": [word["type"], "null"]} if _NULL in found.get("oneOf", ()) else word


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
        "request_id": REQUEST_ID,
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
        members["permission"] = {
            "type": "string",
            "pattern": PERMISSION,
            "description": "The one that is missing.",
        }
        required.append("permission")
    return {
        "type": "object",
        "title": cls.title,
        "description": (cls.__doc__ or "").strip(),
        "required": required,
        "properties": members,
        "additionalProperties": False,
    }
