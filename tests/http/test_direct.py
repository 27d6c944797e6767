"""A handler that is called without the framework's layers answers as it does within them.

The framework takes a path with a slash at its end for the same one, which no direct handler has.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from litestar import Litestar, Request, Response, Router, get, post
from litestar.di import Provide
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.params import FromPath, JSONBody

from app.http.direct import Direct
from app.web.refusal import answer_anywhere
from tests.http.asking import JSON, Answer
from tests.http.test_hostile_input import WRONG

TOKEN = b'{"refresh_token": "gbr_x"}'
OTHERWISE = {
    "an unknown token": (TOKEN, JSON),
    "no media type": (TOKEN, {}),
    "another media type": (TOKEN, {"Content-Type": "text/plain"}),
    "a long body": (b" " * 16_385, JSON),
    "a member too many": (b'{"refresh_token": "gbr_x", "more": 1}', JSON),
    "a wrong type": (b'{"refresh_token": "gbr_x", "rotate": "yes"}', JSON),
    **{what: (body, JSON) for what, body in WRONG.items()},
}


def told(answer: Answer) -> tuple[int, dict[str, str], object]:
    """An answer without what is different each time."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    headers.pop("date", None)
    body = json.loads(answer.body)
    for each in ("request_id", "access_token"):
        body[each] = len(body.get(each, ""))
    return answer.status, headers, body


@pytest.mark.parametrize("what", OTHERWISE)
def test_what_is_refused_is_refused_in_the_same_words(server, what) -> None:
    body, headers = OTHERWISE[what]
    direct = server.ask("POST", "/refresh", body, headers)
    assert direct.status >= 400
    assert told(direct) == told(server.ask("POST", "/refresh/", body, headers))


def test_what_is_given_is_given_with_the_same_headers_and_counted(server) -> None:
    user = {"user_id": "direct", "user_secret": "a quiet rope of seven"}
    user["user_key"] = server.post("/register", user).json["user_key"]
    del user["user_id"]
    token = server.post("/authenticate", user).json["refresh_token"]
    before = count(server)
    direct = server.post("/refresh", {"refresh_token": token})
    assert direct.status == 200
    assert told(direct) == told(server.post("/refresh/", {"refresh_token": token}))
    assert count(server) == before + 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_another_method_is_the_framework_s_to_answer(server, method) -> None:
    asked, framework = (server.ask(method, path) for path in ("/refresh", "/refresh/"))
    assert asked.status == framework.status
    assert asked.headers.get("allow") == framework.headers.get("allow") == "OPTIONS, POST"


def test_a_query_is_refused(server) -> None:
    answer = server.ask("POST", "/refresh?rotate=true", TOKEN, JSON)
    assert (answer.status, answer.json["code"]) == (400, "invalid_request")


class Wish(msgspec.Struct):
    name: str


def test_a_handler_that_takes_more_than_a_body_can_not_be_direct() -> None:
    @post("/wish/{number:int}", direct=True)
    async def numbered(number: FromPath[int], data: JSONBody[Wish]) -> Wish:
        return data

    @get("/wish", direct=True)
    async def bodiless() -> Wish:
        return Wish("")

    for handler in (numbered, bodiless):
        with pytest.raises(TypeError, match=r"can't be called directly"):
            Direct(Litestar([handler], openapi_config=None), answer_anywhere)


def deny(connection, handler) -> None:
    raise PermissionDeniedException


HOOKS: dict[str, Any] = {
    "guards": [deny],
    "middleware": [DefineMiddleware(lambda app: app)],
    "before_request": lambda request: None,
    "after_request": lambda response: response,
    "after_response": lambda request: None,
    "response_headers": {"x-more": "1"},
    "response_cookies": {"more": "1"},
    "dependencies": {"more": Provide(lambda: 1, sync_to_thread=False)},
}
OWN: dict[str, Any] = {
    "exception_handlers": {ValueError: lambda request, error: None},
    "request_max_body_size": 3,
    "request_class": Request,
    "response_class": Response,
}


def handled(**more: Any) -> HTTPRouteHandler:
    @post("/wish", direct=True, **more)
    async def wished(data: JSONBody[Wish], request: Request) -> Wish:
        return data

    return wished


def directly(handlers: list[Any], **more: Any) -> None:
    Direct(Litestar(handlers, openapi_config=None, logging_config=None, **more), answer_anywhere)


@pytest.mark.parametrize("name", [*HOOKS, *OWN])
def test_a_handler_with_a_hook_can_not_be_direct(name) -> None:
    """Nobody would run it: a guard that was added to `/refresh` would let everybody in."""
    more = {**HOOKS, **OWN}[name]
    directly([handled()], **{name: more} if name in OWN else {})
    with pytest.raises(TypeError, match=f" and has {name}: it can't be called directly"):
        directly([handled(**{name: more})])
    with pytest.raises(TypeError, match=f" and has {name}: it can't be called directly"):
        directly([Router("/all", route_handlers=[handled()], **{name: more})])
    if name in HOOKS:
        with pytest.raises(TypeError, match=f" and has {name}: it can't be called directly"):
            directly([handled()], **{name: more})


def count(server) -> float:
    """Answered refreshes."""
    text = server.ask("GET", "/metrics").body.decode()
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("gatebook_requests_total") and '"/refresh"' in line
    )
