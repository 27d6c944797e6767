"""What a page costs the service: processor time for each, asked again and again on one connection.

One service process with its default settings, on SQLite, in whose store there is something to show:
a page of people, and an administrator with as many sessions as one may have, who asks. The pages
are those that the routes name, so that none is forgotten.
"""

from __future__ import annotations

import http.client
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

from app import create_app
from app.settings import load
from app.web import docs_files
from app.web.asset import asset_path
from domain.policy import Policy
from tests.benchmarks.figures import Summary, summary
from tests.benchmarks.processes import CHEAP, SERVICE, serving, settings
from tests.benchmarks.processor import Meter
from tests.prove.stored import grant

TURNS: Final = 5
ASKED: Final = 200
QUICK_TURNS: Final = 2
QUICK_ASKED: Final = 15
MOST_MS: Final = 20.0
"""What a page may cost."""
NO_PAGES: Final = {"/schema/{path:str}"}
"""Where the framework looks like a page, and there is none: the service answers 404 below it."""
COOKIES: Final[Mapping[str, str]] = {
    "/login": "",
    "/registered": "gatebook-done=/registered~registered~{user_key}",
}
"""Where it isn't that of somebody who is logged in, who is sent on from there."""

_STREAM: Final = "text/event-stream"
_KEY: Final = re.compile(rb"uk_[0-9a-z]{26}")
_SECRET: Final = "walnut orbit teacup"
_NAME: Final = "ada@example.org"
_PEOPLE: Final = 60
_FORM: Final = "application/x-www-form-urlencoded"


class TooDearError(RuntimeError):
    """Some page costs more than it may."""


class PageCost(msgspec.Struct, frozen=True):
    """Milliseconds of processor time a page.

    The least of the turns counts: what is above it is what other programs did to the caches.
    """

    path: str
    ms: Summary

    @property
    def is_dear(self) -> bool:
        """Whether it costs more than it may."""
        return self.ms.least > MOST_MS

    def lines(self) -> list[str]:
        """For people."""
        each = self.ms
        mark = ", MISSED" if self.is_dear else ""
        spread = f"({each.least:.2f} to {each.most:.2f}, n = {each.n}; at most {MOST_MS:.0f}{mark})"
        return [f"A page, ms of CPU: {each.median:.2f} {spread} {self.path}"]


def run(*, quick: bool) -> list[PageCost]:
    """Measure every page."""
    return measure(*(QUICK_TURNS, QUICK_ASKED) if quick else (TURNS, ASKED))


def judge(costs: Iterable[PageCost]) -> None:
    """Raises `TooDearError` when a page costs more than it may."""
    if dear := [f"{each.path} ({each.ms.least:.1f} ms)" for each in costs if each.is_dear]:
        message = f"more than {MOST_MS:.0f} ms of CPU: {', '.join(dear)}"
        raise TooDearError(message)


def arguments() -> Mapping[str, Sequence[str]]:
    """How a page is asked for that takes an argument, and one that costs more with a query."""
    root = docs_files.root()
    longest = max(docs_files.files(root), key=lambda each: (root / each.name).stat().st_size)
    user = "/admin/users/{user_key}"
    return {
        "/docs/{name:path}": [longest.path],
        "/docs/search": ["/docs/search?q=rotate+keys", "/docs/search?q=st+re+co+se+de+in+pr+to"],
        "/errors/{code:str}": ["/errors/invalid_token"],
        "/web/static/{name:str}": [asset_path("gatebook.css")],
        "/admin/log": ["/admin/log", "/admin/log?type=user.logged_in&user={user_key}"],
        "/admin/users/{user_key:str}": [user],
        "/admin/users/{user_key:str}/as-of": [f"{user}/as-of", f"{user}/as-of?version=90"],
        "/admin/users/{user_key:str}/erase": [f"{user}/erase"],
    }


def pages() -> dict[str, list[str]]:
    """Every page of the service: its route, and how it is asked for."""
    app = create_app(load(settings("sqlite:///unused.db")).settings)
    return dict(asked_for(app.routes, arguments()))


def asked_for(
    routes: Iterable[BaseRoute], known: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[str]]]:
    """Each route that is a page, and how it is asked for.

    Raises LookupError when one takes an argument, and none is known.
    """
    for route in routes:
        if isinstance(route, HTTPRoute) and any(map(_is_page, route.route_handlers)):
            if route.path in NO_PAGES:
                continue
            if "{" in route.path and route.path not in known:
                message = f"{route.path}: say in `arguments` how it is asked for"
                raise LookupError(message)
            yield route.path, [*known.get(route.path, [route.path])]


def _is_page(handler: HTTPRouteHandler) -> bool:
    """Whether it answers a browser's GET: all of `app.web` but streams, and what else is HTML."""
    ours = handler.fn.__module__.startswith("app.web.")
    return "GET" in handler.http_methods and (
        handler.media_type == MediaType.HTML or (ours and handler.media_type != _STREAM)
    )


def measure(turns: int, asked: int) -> list[PageCost]:
    """What each page costs: in every turn, the mean of so many."""
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as folder:
        url = f"sqlite:///{folder}/gatebook.db"
        log = Path(folder, "service.log")
        with (
            serving(SERVICE, settings(url, CHEAP), log) as service,
            closing(http.client.HTTPConnection("127.0.0.1", service.port)) as connection,
        ):
            user_key, cookie = _furnish(connection)
            grant(url, user_key, "admin")
            return [
                PageCost(
                    path, summary([*_costs(connection, service.pid, path, held, turns, asked)])
                )
                for route, paths in pages().items()
                for held in [COOKIES.get(route, cookie).format(user_key=user_key)]
                for path in [each.format(user_key=user_key) for each in paths]
            ]


def _costs(
    connection: http.client.HTTPConnection, pid: int, path: str, cookie: str, turns: int, asked: int
) -> Iterator[float]:
    _see(connection, path, cookie)
    for _ in range(turns):
        meter = Meter(pid)
        for _ in range(asked):
            _see(connection, path, cookie)
        yield 1_000 * meter.used() / asked


def _see(connection: http.client.HTTPConnection, path: str, cookie: str) -> None:
    headers = {"Accept": "text/html"} | ({"Cookie": cookie} if cookie else {})
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        message = f"GET {path}: {answer.status}"
        raise RuntimeError(message)


def _furnish(connection: http.client.HTTPConnection) -> tuple[str, str]:
    """Fill the store; the administrator's key, and a cookie."""
    secret = {"user_secret": _SECRET}
    for number in range(_PEOPLE):
        _say(connection, "/register", {"user_id": f"user{number}@example.org", **secret})
    found = _KEY.search(_say(connection, "/register", {"user_id": _NAME, **secret})[0])
    user_key = found[0].decode() if found else ""
    for _ in range(Policy().session_cap):
        _say(connection, "/authenticate", {"user_key": user_key, **secret})
    _, cookie = _say(connection, "/web/login", {"user": _NAME, **secret}, form=True)
    return user_key, cookie.partition(";")[0]


def _say(
    connection: http.client.HTTPConnection,
    path: str,
    told: Mapping[str, str],
    *,
    form: bool = False,
) -> tuple[bytes, str]:
    """Send JSON, or a form; what was answered, and the cookie that came with it."""
    kind, body = (_FORM, urlencode(told)) if form else ("application/json", json.dumps(told))
    origin = f"http://127.0.0.1:{connection.port}"
    connection.request("POST", path, body, {"Content-Type": kind, "Origin": origin})
    answer = connection.getresponse()
    if answer.status >= 400:
        message = f"POST {path}: {answer.status}"
        raise RuntimeError(message)
    return answer.read(), answer.getheader("Set-Cookie") or ""
