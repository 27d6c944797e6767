"""What a page costs the service: processor time for each, asked again and again on one connection.

One service process with its default settings, on SQLite; pages of somebody who is logged in are
asked with the cookie, those of the administration by an administrator.
"""

from __future__ import annotations

import http.client
import re
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec

from tests.benchmarks.figures import Summary, summary
from tests.benchmarks.processes import SERVICE, serving, settings
from tests.benchmarks.processor import cpu_seconds
from tests.prove.stored import grant

TURNS: Final = 5
ASKED: Final = 200
QUICK_TURNS: Final = 2
QUICK_ASKED: Final = 60
MOST_MS: Final = 20.0
STRANGERS: Final = (
    *("/", "/register", "/login", "/errors/invalid_token"),
    *("/docs", "/docs/how-to/change-keys", "/docs/reference/http", "/docs/search?q=rotate+keys"),
)
OF_ONESELF: Final = ("/account", "/account/history", "/account/secret")
ADMINISTRATIVE: Final = (
    "/admin", "/admin/users", "/admin/users/{user_key}", "/admin/users/{user_key}/as-of",
    "/admin/log", "/admin/projections", "/admin/keys", "/admin/status",
)  # fmt: skip

_CHEAP: Final = {"GATEBOOK_HASH_MEMORY_KIB": "8", "GATEBOOK_HASH_TIME": "1"}
_KEY: Final = re.compile(rb"uk_[0-9a-z]{26}")
_SECRET: Final = "walnut orbit teacup"


class PageCost(msgspec.Struct, frozen=True):
    """Milliseconds of processor time a page."""

    path: str
    ms: Summary

    def lines(self) -> list[str]:
        """For people."""
        each = self.ms
        mark = "" if each.median <= MOST_MS else ", MISSED"
        spread = f"({each.least:.2f} to {each.most:.2f}, n = {each.n}; at most {MOST_MS:.0f}{mark})"
        return [f"A page, ms of CPU: {each.median:.2f} {spread} {self.path}"]


def run(*, quick: bool) -> list[PageCost]:
    """Measure every page."""
    turns, asked = (QUICK_TURNS, QUICK_ASKED) if quick else (TURNS, ASKED)
    with tempfile.TemporaryDirectory(prefix="gatebook-bench-") as folder:
        url = f"sqlite:///{folder}/gatebook.db"
        log = Path(folder, "service.log")
        with (
            serving(SERVICE, settings(url, _CHEAP), log) as service,
            closing(http.client.HTTPConnection("127.0.0.1", service.port)) as connection,
        ):
            user_key, cookie = _log_in(connection)
            grant(url, user_key, "admin")
            paths = [(each, "") for each in STRANGERS]
            paths += [(each, cookie) for each in (*OF_ONESELF, *ADMINISTRATIVE)]
            return [
                PageCost(
                    path,
                    _measured(
                        connection,
                        service.pid,
                        path.format(user_key=user_key),
                        cookie,
                        turns,
                        asked,
                    ),
                )
                for path, cookie in paths
            ]


def _measured(
    connection: http.client.HTTPConnection, pid: int, path: str, cookie: str, turns: int, asked: int
) -> Summary:
    _ask(connection, path, cookie)
    found = []
    for _ in range(turns):
        used = cpu_seconds(pid)
        for _ in range(asked):
            _ask(connection, path, cookie)
        found.append(1_000 * (cpu_seconds(pid) - used) / asked)
    return summary(found)


def _ask(connection: http.client.HTTPConnection, path: str, cookie: str) -> None:
    headers = {"Accept": "text/html"} | ({"Cookie": cookie} if cookie else {})
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        message = f"GET {path}: {answer.status}"
        raise RuntimeError(message)


def _log_in(connection: http.client.HTTPConnection) -> tuple[str, str]:
    """Somebody new; the key and the cookie."""
    origin = f"http://127.0.0.1:{connection.port}"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin}
    name, user_key = "ada@example.org", ""
    for path, form in (
        ("/web/register", {"user_id": name, "user_secret": _SECRET}),
        ("/web/login", {"user": name, "user_secret": _SECRET}),
    ):
        connection.request("POST", path, urlencode(form), headers)
        answer = connection.getresponse()
        found = _KEY.search(answer.read())
        user_key = found[0].decode() if found else user_key
    return user_key, (answer.getheader("Set-Cookie") or "").partition(";")[0]
