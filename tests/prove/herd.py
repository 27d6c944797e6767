"""Sixteen processes start at the same moment on a store that isn't there: each serves, or says why.

On PostgreSQL all of them come to serve, each answers, the tables, the keys and the first events are
made once, and all stop in order. On SQLite one serves, and each of the others ends with exit code 2
and names the process that does. They are `gatebook serve` itself. The controls: processes that
don't wait for the append lock, and ones that don't hold the file. Security rule 29.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.prove.client import Client
from tests.prove.load import SECRET, new_name
from tests.prove.stored import an_empty, check_log
from tests.prove.tally import Tally
from tests.running import Server, settings
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROPERTY: Final = (
    "16 start at once: PostgreSQL: all serve, tables made once; SQLite: one, others say"
)
SIZE: Final = 50
OF: Final = "herds"
STEP: Final = 10
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
HERD: Final = 16
FEW: Final = 4
"""In the short form: `tests/store/test_opening.py` has sixteen open one store."""
TRIES: Final = 10
"""Herds within which a breach has to be noticed: it is one of chance."""
REFUSED: Final = 2
"""The exit code of who is told that another process serves the store."""

CREATED, BUSY = 201, 503
PATIENCE: Final = 20
"""How often one that is busy is asked: each time it takes two seconds to say so."""

TWICE, MANY, NOT_ALL = "made more than once", "serve one file", "did not start"
SHOWN: Final = (TWICE, MANY, NOT_ALL)
"""What a breach has to be noticed by: tables that are there already stop a start."""
_FIRST: Final = {"log.opened": 1, "signing_key.added": 1, "signing_key.activated": 1}
_RING_KEYS: Final = 5
_SAID_LAST: Final = 2_000


def prove(url: str, count: int) -> Tally:
    """Let `count` herds start, each on an empty store."""
    tally, of_sqlite = Tally(), url.startswith(SQLITE)
    many = HERD if count >= STEP else FEW
    start: Callable[..., None] = _one_serves if of_sqlite else _all_serve
    for each in range(count):
        start(an_empty(url, f"{each}"), many, tally, TEST_AS_COMMAND="serve")
        tally.tried += 1
    breached, noticed = Tally(), False
    for each in range(TRIES):
        if of_sqlite:
            start(an_empty(url, f"breach-{each}"), many, breached)
        else:
            start(an_empty(url, f"breach-{each}"), many, breached, TEST_UNLOCKED="1")
        if noticed := any(why in each for each in breached.first for why in SHOWN):
            break
    name = "processes that hold nothing" if of_sqlite else "processes that don't wait for the lock"
    tally.control(name, noticed=noticed)
    return tally


def _all_serve(url: str, many: int, tally: Tally, **more: str) -> None:
    started = time.monotonic()
    herd = [Server(settings(url, **more)) for _ in range(many)]
    try:
        serving = [each for each in herd if each.serves]
        tally.figure("until all serve, s", time.monotonic() - started)
        for each in herd:
            if each not in serving:
                tally.wrong(f"one of {many} {NOT_ALL}: {_last(each)}")
        asyncio.run(_register(serving, tally))
        _stop(serving, tally)
    finally:
        _end(herd)
    topics = Counter(each.event.name for each in check_log(url, tally))
    people = topics.pop("user.registered", 0)
    tally.expect(people == len(serving), f"{people} of {len(serving)} are registered")
    tally.expect(topics == _FIRST, f"{TWICE}: {topics}")
    with intrude(url) as intruder:
        ((keys,),) = intruder.run("SELECT count(*) FROM ring_keys")
    tally.expect(keys == _RING_KEYS, f"there are {keys} keys")
    tally.count("processes that served", len(serving))


def _one_serves(url: str, many: int, tally: Tally, **more: str) -> None:
    herd = [Server(settings(url, **more)) for _ in range(many)]
    try:
        serving = [each for each in herd if each.serves]
        tally.expect(len(serving) == 1, f"{len(serving)} {MANY}")
        others = [each for each in herd if each not in serving]
        for each in others:
            code = each.ended()
            named = any(f"process {one.pid} serves" in each.said.decode() for one in serving)
            tally.expect(
                code == REFUSED and named, f"refused with {code}, without saying who: {_last(each)}"
            )
        asyncio.run(_register(serving, tally))
        _stop(serving, tally)
    finally:
        _end(herd)
    topics = Counter(each.event.name for each in check_log(url, tally))
    topics.pop("user.registered", 0)
    tally.expect(topics == _FIRST, f"{TWICE}: {topics}")
    tally.count("processes that were told who serves", len(others))


async def _register(serving: Sequence[Server], tally: Tally) -> None:
    """Each of them stores something; one that is busy is asked again, as it says."""

    async def ask(server: Server) -> None:
        given = {"user_id": new_name(), "user_secret": SECRET}
        async with Client(server.port) as client:
            for _ in range(PATIENCE):
                answer = await client.post("/register", **given)
                if answer.status != BUSY:
                    break
        done = answer.status == CREATED or answer.code == "user_id_taken"
        tally.expect(done, f"/register: {answer.status} {answer.body!r}")

    await asyncio.gather(*map(ask, serving))


def _stop(serving: Sequence[Server], tally: Tally) -> None:
    for each in serving:
        os.kill(each.pid, signal.SIGTERM)
    for each in serving:
        code = each.ended()
        crashed = b"Traceback" in each.said
        tally.expect(code == 0 and not crashed, f"ended with {code}: {_last(each)}")


def _end(herd: Sequence[Server]) -> None:
    for each in herd:
        each.kill()


def _last(server: Server) -> str:
    return server.said[-_SAID_LAST:].decode(errors="replace")
