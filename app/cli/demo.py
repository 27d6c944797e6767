"""`gatebook demo`: a throw-away service, what it is asked and answers, and the log of that."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import rich_click as click

from app import audit, logs
from app.audit import Wanted
from app.cli import failure, output
from app.cli.access import open_with
from app.cli.audit.log import line
from app.settings import PREFIX, load

STOP_WITHIN_S: Final = 15
WIDTH: Final = 80
WIDEST: Final = 120
_TOKEN: Final = re.compile(r"\b((?:gbr_|eyJ)[\w.-]{32})[\w.-]+")
"""Of a refresh token as much is shown as tells its session and its generation."""
_NAME: Final = "ada@example.org"
_SECRET: Final = "a secret that nobody else has"  # noqa: S105 - shown, and gone in a moment


class DemoFailed(click.ClickException):
    """The demonstration did not go as it must."""


@click.command("demo")
def command() -> None:
    """Show it all on a throw-away service.

    Registers, authenticates, refreshes, rotates, steals and revokes, prints each request and
    answer, and then the log that came of it. Needs nothing, keeps nothing, and touches no store
    of yours.
    """
    logs.configure("console")
    with tempfile.TemporaryDirectory(prefix="gatebook-demo-") as directory:
        environment = {
            "GATEBOOK_DATABASE_URL": f"sqlite:///{Path(directory) / 'gatebook.db'}",
            "GATEBOOK_PORT": "0",
            "GATEBOOK_ISSUER": "http://localhost",
            "GATEBOOK_LOG_FORMAT": "json",
        }
        with _service(environment) as url:
            output.talk(f"A throw-away service runs at {url}. Tokens are cut short here.")
            _tell_story(_Client(url))
        _title("The log that came of it: all that the service knows follows from this")
        with open_with(load(environment).settings, make=False) as store:
            for items in audit.events(store.storage, store.vault, Wanted()):
                for item in items:
                    output.data(_folded(line(item), indent=8))


class _Client:
    """Sends a request, and prints it with its answer."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        bearer: str = "",
        expected: int,
    ) -> dict[str, str]:
        """The members of the answer; raises `DemoFailed` for another status."""
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        lines = [f"> {method} {path}", *(f"> {name}: {value}" for name, value in headers.items())]
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body)
            lines.append(f"> {content}")
        connection = http.client.HTTPConnection(self._address, timeout=STOP_WITHIN_S)
        try:
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            answer: dict[str, str] = json.loads(response.read() or b"{}")
        finally:
            connection.close()
        lines += [f"< {response.status} {response.reason}", f"< {json.dumps(answer)}"]
        for each in lines:
            output.data(_folded(_TOKEN.sub(_cut, each)))
        if response.status != expected:
            msg = f"{method} {path} answered {response.status} in place of {expected}."
            raise DemoFailed(msg)
        return answer


def _tell_story(client: _Client) -> None:
    _title("Register: a name and a secret for a key")
    known = {"user_id": _NAME, "user_secret": _SECRET}
    user_key = client.send("POST", "/register", known, expected=201)["user_key"]

    _title("Authenticate: the key and the secret for two tokens, and a session begins")
    proof = {"user_key": user_key, "user_secret": _SECRET}
    tokens = client.send("POST", "/authenticate", proof, expected=200)

    _title("The access token says who calls")
    client.send("GET", "/me", bearer=tokens["access_token"], expected=200)

    _title("Refresh: the refresh token for a new access token, as often as you like")
    first = {"refresh_token": tokens["refresh_token"]}
    client.send("POST", "/refresh", first, expected=200)

    _tell_of_rotation(client, first)

    _title("Authenticate again, and revoke: the session is over")
    tokens = client.send("POST", "/authenticate", proof, expected=200)
    client.send("POST", "/revoke", {"refresh_token": tokens["refresh_token"]}, expected=200)

    _title("So its access token is refused here at once")
    client.send("GET", "/me", bearer=tokens["access_token"], expected=401)


def _tell_of_rotation(client: _Client, first: Mapping[str, str]) -> None:
    _title("Rotate: the refresh token is retired for a new one, the next generation")
    client.send("POST", "/refresh", {**first, "rotate": True}, expected=200)

    _title("Had that answer been lost: ask again, and get the same new one")
    answer = client.send("POST", "/refresh", {**first, "rotate": True}, expected=200)
    second = {"refresh_token": answer["refresh_token"]}

    _title("The client goes on with it")
    answer = client.send("POST", "/refresh", {**second, "rotate": True}, expected=200)
    third = {"refresh_token": answer["refresh_token"]}

    _title("Now somebody shows the first one, which was stolen: the session ends")
    client.send("POST", "/refresh", first, expected=401)

    _title("It ends for thief and owner alike, and the reason says why")
    client.send("POST", "/refresh", third, expected=401)


@contextmanager
def _service(settings: Mapping[str, str]) -> Iterator[str]:
    """A service of its own process; its URL."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
    # Told to end, it ends as it would by itself: with nothing left behind.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(failure.FAILED))
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve"],
        env={**inherited, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield _url(process)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        signal.signal(signal.SIGTERM, before)


def _url(process: subprocess.Popen[str]) -> str:
    """Where it serves, which its log says."""
    said = []
    for text in process.stderr or ():
        said.append(text)
        try:
            entry = json.loads(text)
        except ValueError:
            continue
        if entry.get("event") == "serving":
            return str(entry["url"])
    msg = f"The service did not start.\n{''.join(said)}"
    raise DemoFailed(msg)


def _title(text: str) -> None:
    output.data(["", f"-- {text}"])


def _folded(text: str, indent: int = 4) -> list[str]:
    """The text in lines that fit; what is longer than one is cut where it must be."""
    return textwrap.wrap(
        output.shown(text), _width(), subsequent_indent=" " * indent, break_on_hyphens=False
    )


def _width() -> int:
    """The terminal's, within reason; of what is no terminal, that of an old one."""
    return max(WIDTH, min(shutil.get_terminal_size((0, 0)).columns, WIDEST)) - 1


def _cut(found: re.Match[str]) -> str:
    return f"{found[1]}…"
