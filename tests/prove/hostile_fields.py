"""Hostile texts in every field of every operation and form: data, wherever they get to.

Each text stands in every place that the description has, rightly and wrongly used, in bodies that
are no JSON and no form any more, in every field of every form of the pages, and in headers. No
answer is a fault of the service; the log of requests has one line for each; what was acceptable is
kept to the letter; the tables, the log and its views are what they must be. Security rules 2, 8
and 21. The controls: a service with a fault that nobody foresaw, one that prints forms past its
log, and the same texts spliced into a statement.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

import psycopg

from domain import events
from tests.prove.attacker import Attacker, Hostile, check_lines
from tests.prove.client import Cut
from tests.prove.described import OPERATIONS
from tests.prove.hostile_bodies import mutated
from tests.prove.hostile_texts import ALL, LOGS, SQL
from tests.prove.memory import Memory
from tests.prove.planted_in_pages import forms
from tests.prove.planted_rightly import in_form
from tests.prove.planted_wrongly import FORM, JSON, Setting, Wish, plant, use_wrongly
from tests.prove.stored import check_log
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.prove.described import Operation
    from tests.store.intruding import Intruder

PROPERTY: Final = "hostile texts in every field are data: no 5xx, a line a request, all kept"
SIZE: Final = 2 * len(ALL)
OF: Final = "texts"
STEP: Final = len(ALL)
"""Each of them in a round."""
SHORT: Final = 2
STORES: Final = ("sqlite", "postgresql")
TRUSTED: Final = "127.0.0.0/8"
AT_ONCE: Final = 4
"""Connections."""
SOME: Final = 2
"""Operations and forms of the short form, another choice in each run."""
BODIES: Final = 12
"""Broken bodies of each operation, beside each text."""

_FIELDS: Final = (
    "user", "user_id", "user_key", "user_secret", "new_user_secret", "next", "session_id",
    "permissions", "permission", "accept", "after", "at", "position", "type", "since", "until",
)  # fmt: skip
_HERE: Final = {"origin": "http://127.0.0.1", "content-type": FORM}
_PAGES: Final = ("/", "/login", "/register", "/account", "/admin/log", "/admin/users")


def prove(url: str, count: int) -> Tally:
    """Say `count` texts everywhere; in the short form in some places."""
    tally, seed = Tally(), secrets.randbits(32)
    rng = random.Random(seed)
    texts = rng.sample(ALL, count)
    operations, web = [*OPERATIONS], sorted(forms())
    if count == SHORT:
        texts = [SQL[0], rng.choice([*SQL[1:], *LOGS])]
        operations, web = rng.sample(operations, SOME), rng.sample(web, SOME)
    hostile = Hostile()
    hostile.tally = tally
    log_format = "json" if url.startswith(SQLITE) else "console"
    with running(settings(url, LOG_FORMAT=log_format, TRUSTED_PROXIES=TRUSTED)) as server:
        asyncio.run(_Round(server.port, url, hostile, rng).all(texts, operations, web, server.pid))
        tally.expect(server.stop() == 0, "the server did not stop in order")
        said = server.said
    check_lines(said, hostile.asked, tally)
    _check_splicing(url, tally)
    _check_store(url, hostile, tally)
    _check_breaches(url, tally)
    tally.first = [f"seed {seed}: {each}" for each in tally.first]
    return tally


class _Round:
    """Texts, one after another, each by several connections at a time."""

    def __init__(self, port: int, url: str, hostile: Hostile, rng: random.Random) -> None:
        self._port = port
        self._url = url
        self._hostile = hostile
        self._rng = rng
        self._tally = hostile.tally or Tally()

    async def all(
        self, texts: Sequence[str], operations: Sequence[Operation], web: Sequence[str], pid: int
    ) -> None:
        memory: Memory | None = None
        for text in texts:
            async with Attacker(self._port, self._hostile) as who:
                setting = Setting(
                    await who.administrator(self._url), await who.person(), await who.person()
                )
                with self._hostile.saying(text):
                    await self._keep(who, setting, text)
                    await self._everywhere(setting, operations)
                    await self._in_pages(who, setting, web, text)
            self._tally.tried += 1
            if memory is None:
                memory = Memory(pid)
        if memory is not None:
            memory.judge(self._tally)

    async def _everywhere(self, setting: Setting, operations: Sequence[Operation]) -> None:
        """Nobody logs in here: a text that is said is no name of a person."""
        waiting = [*operations]

        async def work() -> None:
            async with Attacker(self._port, self._hostile) as who:
                while waiting:
                    operation = waiting.pop()
                    await use_wrongly(who, setting, operation)
                    for body in mutated(operation, self._hostile.text, self._rng, BODIES):
                        kind = FORM if operation.form else JSON
                        bearer = {} if operation.form else setting.plain.bearer
                        headers = {"content-type": kind, **bearer}
                        path = setting.path(operation)
                        await plant(who, Wish(operation.method, path, body, headers))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    async def _in_pages(
        self, who: Attacker, setting: Setting, web: Sequence[str], text: str
    ) -> None:
        admin = setting.victim
        cookie = {"cookie": f"gatebook={admin.refresh_token}"}
        fields = urlencode(dict.fromkeys(_FIELDS, text), errors="replace").encode()
        for path in web:
            place = path.replace("{user_key:str}", setting.plain.user_key)
            place = place.replace("{name:str}", quote(text, safe=""))
            for headers in (_HERE, {**_HERE, **cookie}):
                await plant(who, Wish("POST", place, fields, headers))
        for page in _PAGES:
            query = urlencode(dict.fromkeys(self._rng.sample(_FIELDS, 3), text))
            html = {"accept": "text/html", **cookie}
            await plant(who, Wish("GET", f"{page}?{query}", None, html))
            await plant(who, Wish("GET", f"{page}/{quote(text, safe='')}", None, html))

    async def _keep(self, who: Attacker, setting: Setting, text: str) -> None:
        """What is acceptable as a name and as a secret comes back to the letter."""
        tally, secret = self._tally, f"{text} and enough of it"
        with suppress(Cut):
            made = await who.post("/register", user_id=text, user_secret=secret)
            tally.expect(made.status in {201, 400, 409}, f"registered: {made.status}")
            if made.status == 201:
                tally.count("names kept")
                key = made.json["user_key"]
                shown = await who.ask(setting.admin, "GET", f"/users/{key}")
                tally.expect(shown.json["user_id"] == text, f"another name: {shown.body!r}")
                tokens = await who.post("/authenticate", user_key=key, user_secret=secret)
                tally.expect(tokens.status == 200, f"another secret: {text!a}")
            found = await who.ask(setting.admin, "GET", f"/users?user_id={quote(text, safe='')}")
            if found.status == 200:
                names = [each["user_id"] for each in found.json["items"]]
                right = len(names) <= 1 and (not names or names[0] == text or made.status == 409)
                tally.expect(right, f"asked for {text!a}, found {names}")


def _check_store(url: str, hostile: Hostile, tally: Tally) -> None:
    """As many users as were told of their registration, the tables of a new store, a whole log."""
    log = check_log(url, tally)
    users = sum(isinstance(each.event, events.UserRegistered) for each in log)
    tally.expect(users == hostile.registered, f"{users} users of {hostile.registered}")
    here = _tables(url)
    tally.expect({"events", "user_ids", "ring_keys"} <= here, f"only these tables: {here}")
    tally.expect("other" not in here, "a table more")


def _events(intruder: Intruder) -> int:
    """How many there are; fails where there is no such table any more."""
    return len(intruder.run("SELECT 1 FROM events"))


def _tables(url: str) -> set[str]:
    with intrude(url) as intruder:
        rows = intruder.run(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            if url.startswith(SQLITE)
            else "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        )
    return {str(name) for (name,) in rows}


def _check_splicing(url: str, tally: Tally) -> None:
    """A control: where somebody splices a text into a statement, these break it or change it."""
    broken, texts = 0, [text for text in SQL if "sleep" not in text]
    with intrude(url) as intruder:
        for text in texts:
            (bound,) = intruder.run("SELECT count(*) FROM user_ids WHERE user_key = ?", (text,))
            intruder.run("BEGIN")
            try:
                found = intruder.run(f"SELECT count(*) FROM user_ids WHERE user_key = '{text}'")
                broken += found != [bound] or not _events(intruder)
            except (sqlite3.Error, sqlite3.Warning, psycopg.Error):
                broken += 1
            intruder.run("ROLLBACK")
    tally.control("a text that is spliced into a statement", noticed=broken >= len(texts) // 3)


def _check_breaches(url: str, tally: Tally) -> None:
    """A control: a service that stumbles over a letter, and prints what it is sent."""
    found, hostile = Tally(), Hostile()
    hostile.tally = found
    given = settings(url, TRUSTED_PROXIES=TRUSTED, TEST_UNFORESEEN="1", TEST_LOG_FORMS="1")
    with running(given) as server:
        asyncio.run(_ask_a_breach(server.port, hostile))
        server.stop()
        said = server.said
    tally.control("a fault that nobody foresaw", noticed=_starts(found, "500 to POST"))
    found = Tally()
    check_lines(said, hostile.asked, found)
    wrong = any("no record" in each for each in found.first)
    tally.control("a form that is printed past the log", noticed=wrong)


def _starts(found: Tally, what: str) -> bool:
    """Whether that is the first thing that was wrong, if anything was."""
    return bool(found.first) and found.first[0].startswith(what)


async def _ask_a_breach(port: int, hostile: Hostile) -> None:
    async with Attacker(port, hostile) as who:
        person = await who.person()
        with hostile.saying("\u00e4"):
            body = json.dumps({"user_id": "\u00e4", "user_secret": person.secret}).encode()
            await who.send("POST", "/userkey", body)
        await who.form("/oauth/introspect", {"token": LOGS[0], **in_form(person)})
