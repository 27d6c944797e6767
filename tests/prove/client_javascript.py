"""Programs and tabs share a session by the JavaScript client, and a verifier hears of ends in time.

In the long form 8 processes of Node, of 50 tasks each, call for a minute with tokens of two seconds
that rotate always, one file for all; meanwhile the service is stopped for ten seconds and started
again. Then two pairs of tabs of a browser do the same for a minute, which share a session each, one
pair in IndexedDB and one in `localStorage`, of which they hear a moment late. Nobody is refused,
but for a token whose request took longer than it was good for, which is seldom, nobody is left
without an answer but while the service is gone, no reuse is recorded, and they renew once for all.
The processes begin at the same time, and the first answer is late, so that all need what one of
them gets: no token is shown twice, but for one whose answer was lost when the service went away. A
token of two seconds is used for 0.6 at least, so there are no more renewals than that takes. Then
100 sessions end, and a verifier refuses 99 of their tokens within a second. The controls: two
programs that share a refresh token and no file, two that share a file without its lock, and one
whose clocks are slow, so that it renews late. Knows the client as its users do.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import httpx

from domain import events
from tests.clients_javascript import package
from tests.http.steps import SECRET, authenticate, register
from tests.ports import free_port
from tests.prove.load import session_of
from tests.prove.renewals import (
    NOW_AND_THEN,
    TWICE,
    Away,
    asked_by,
    judge_excused,
    judge_renewals,
)
from tests.prove.stored import check_log
from tests.prove.tally import Tally
from tests.running import Server, running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from domain.stream import Recorded

PROPERTY: Final = "8 processes, 4 tabs share tokens of 2 s: renewed once for all; ends are heard of"
SIZE: Final = 60
OF: Final = "seconds"
STEP: Final = 60
SHORT: Final = 3
STORES: Final = ("sqlite",)
PROCESSES, TASKS = (8, 2), (50, 10)
"""In the long form, and in the short one."""
TAB_TASKS: Final = 12
HEARS_LATE: Final = "localStorageStore"
TAB_STORES: Final = ("indexedDBStore", HEARS_LATE)
AWAY_S: Final = (10.0, 1.0)
ENDS: Final = (100, 3)
IN_TIME_S: Final = 1.0
LATE: Final = 1
"""Of those that end in the long form."""
PATIENCE_S: Final = 120.0
LATE_OFTEN: Final = (NOW_AND_THEN, 0.5)
"""Of the renewals of tabs that hear late, in the long form and in the short one."""
TRIES: Final = 4
"""Of a client that renews late: a machine that is busy might take the blame."""
EVERY_S: Final = 0.6
"""What is left of two seconds by a clock that may be a second late, but for the margin."""
SPARE: Final = 1
CALLS, EXCUSED = "calls of a {}", "requests of a {} whose token was over on its way"

Program = subprocess.Popen[str]
Told = dict[str, Any]
"""By a program or tab of its calls, as `test/programs/watching.mjs` does."""


def prove(url: str, count: int) -> Tally:
    """Call for `count` seconds."""
    node, tally, short = package.built(), Tally(), int(count < STEP)
    # They have a store and a server of their own, and wait for the most part.
    controls = ThreadPoolExecutor(1).submit(_are_noticed, node)
    issuer, origin = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    brief = _brief(url, issuer) | {"GATEBOOK_CORS_ORIGINS": origin}
    user_key, away, by_programs = _share(node, brief, issuer, short, count, tally)
    with running(brief):
        late, by_tabs = _tabs(node, issuer, origin, user_key, count, tally)
    told = [*by_programs, *by_tabs]
    _judge(check_log(url, tally), tally, away, late, told, LATE_OFTEN[short])
    tally.tried = count
    with running({**brief, "GATEBOOK_ACCESS_TOKEN_TTL": "3600"}):
        ending = _begin(node, "ends", issuer, user_key, str(ENDS[short]), told=SECRET)
        ends: list[float] = _said(ending, tally) or []
    slow = sum(took >= IN_TIME_S for took in ends)
    tally.expect(len(ends) == ENDS[short], f"{len(ends)} of {ENDS[short]} ends were heard of")
    for what in ("process", "tab"):
        judge_excused(tally, CALLS.format(what), EXCUSED.format(what), busy=bool(short))
    if not short:
        tally.expect(slow <= LATE, f"{slow} of {ENDS[short]} ends were heard of late")
    tally.count("ends heard of late", slow)
    tally.figure("an end of session heard of, s", max(ends, default=0.0))
    for name, noticed in controls.result().items():
        tally.control(name, noticed=noticed)
    return tally


def _brief(url: str, issuer: str) -> dict[str, str]:
    """Settings of a service whose tokens are over soon, and rotate always."""
    return settings(
        url,
        PORT=issuer.rpartition(":")[2],
        ISSUER=issuer,
        ACCESS_TOKEN_TTL="2",
        REFRESH_ROTATION="always",
        REFRESH_AUDIT="every",
    )


def _are_noticed(node: str) -> dict[str, bool]:
    """The controls: whether each shows."""
    issuer = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        store = f"{SQLITE}{folder}/gatebook.db"
        with running(_brief(store, issuer)):
            with httpx.Client(base_url=issuer) as api:
                apart, unlocked = (register(api, each, SECRET) for each in ("apart", "unlocked"))
            _share_without_a_file(node, issuer, apart)
            _share_without_a_lock(node, issuer, unlocked, f"{folder}/unlocked.json")
            late = any(_renews_late(node, issuer, apart) for _ in range(TRIES))
        log = check_log(store, Tally())
    return {
        "a session shared without a file": _shows(log, apart, "reuses are recorded"),
        "a file without its lock": _shows(log, unlocked, TWICE),
        "a client that renews late": late,
    }


def _shows(log: Iterable[Recorded], user_key: str, what: str) -> bool:
    found = Tally()
    _judge([each for each in log if each.stream == user_key], found)
    return any(what in each for each in found.first)


def _share(
    node: str, brief: dict[str, str], url: str, short: int, seconds: int, tally: Tally
) -> tuple[str, Away, list[Told]]:
    """Processes call while the service is away for a while: whose session, when, what they told."""
    server = Server(brief)
    try:
        _ = server.port
        with httpx.Client(base_url=url) as api:
            user_key = register(api, "shared", SECRET)
            token = authenticate(api, user_key)["refresh_token"]
        with tempfile.TemporaryDirectory() as folder:
            asked = (url, f"{folder}/tokens.json", str(TASKS[short]), str(seconds))
            callers = _at_once(node, PROCESSES[short], *asked, told=token)
            # In the midst of it the service is gone for a while.
            time.sleep(seconds / 3)
            stopping = time.time()
            server.stop()
            gone = time.monotonic()
            time.sleep(AWAY_S[short])
            server = Server(brief)
            _ = server.port
            tally.figure("the service was gone, s", time.monotonic() - gone)
            away = Away(stopping, time.time())
            told = [_said(each, tally) or {} for each in callers]
    finally:
        server.kill()
    for each in told:
        _read(each, "process", tally, away)
    return user_key, away, told


def _tabs(
    node: str, url: str, origin: str, user_key: str, seconds: int, tally: Tally
) -> tuple[frozenset[str], list[Told]]:
    """Two for each store; the session of those that hear late, and what they told."""
    if not package.CHROMIUM.exists():
        tally.expect(False, f"there is no {package.CHROMIUM} for the tabs")
        return frozenset(), []
    with httpx.Client(base_url=url) as api:
        tokens = [authenticate(api, user_key)["refresh_token"] for _ in TAB_STORES]
    asked = (url, origin, str(TAB_TASKS), str(seconds), *TAB_STORES)
    told = _said(_begin(node, "tabs", *asked, told="\n".join(tokens)), tally) or []
    for each in told:
        _read(each, "tab", tally)
    return frozenset({session_of(tokens[TAB_STORES.index(HEARS_LATE)])}), told


def _at_once(node: str, number: int, *arguments: str, told: str) -> list[Program]:
    """Callers that begin when all of them are ready."""
    callers = [_started(node, "caller", *arguments, told=told) for _ in range(number)]
    for each in callers:
        assert each.stdout is not None
        each.stdout.readline()
    for each in callers:
        _end_input(each)
    return callers


def _begin(node: str, name: str, *arguments: str, told: str) -> Program:
    process = _started(node, name, *arguments, told=told)
    _end_input(process)
    return process


def _started(node: str, name: str, *arguments: str, told: str) -> Program:
    process = subprocess.Popen(
        [node, str(package.PROGRAMS / f"{name}.mjs"), *arguments],
        cwd=package.FOLDER,
        env=package.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A token or a secret is no argument.
    assert process.stdin is not None
    process.stdin.write(f"{told}\n")
    process.stdin.flush()
    return process


def _end_input(program: Program) -> None:
    assert program.stdin is not None
    program.stdin.close()
    program.stdin = None


def _said(program: Program, tally: Tally) -> Any:
    try:
        said, complaint = program.communicate(timeout=PATIENCE_S)
    finally:
        program.kill()
    tally.expect(
        program.returncode == 0, f"a program ended with {program.returncode}: {complaint[-500:]}"
    )
    return json.loads(said.rpartition("ready\n")[2] or "null")


def _read(
    told: Told,
    what: str,
    tally: Tally,
    away: tuple[float, float] = (math.inf, -math.inf),
) -> None:
    """Judge what a caller told; `away` is when the service was, in seconds since the epoch."""
    for each, number in told.get("wrong", {}).items():
        for _ in range(min(number, 3)):
            tally.wrong(f"{number} times {each[:300]}")
    for begun, ended in told.get("unanswered", ()):
        meanwhile = begun <= away[1] and away[0] <= ended
        tally.expect(meanwhile, f"a {what} had no answer while the service was there")
        tally.count(f"calls of a {what} without an answer while the service was gone", meanwhile)
    tally.count(CALLS.format(what), told.get("calls", 0))
    tally.count(EXCUSED.format(what), told.get("late", 0))
    tally.count(f"tokens seen by a {what}", told.get("tokens", 0))
    tally.figure(f"slowest call of a {what}, s", told.get("slowest", 0.0))
    tally.expect(told.get("calls", 0) > 0, f"a {what} has called nobody")


def _judge(
    log: Sequence[Recorded],
    tally: Tally,
    away: Away | None = None,
    late: Collection[str] = (),
    told: Iterable[Told] = (),
    often: float = NOW_AND_THEN,
) -> None:
    """Renewals there are, once for all, and nothing that a reuse leaves."""
    reused = sum(isinstance(each.event, events.RefreshTokenReuseDetected) for each in log)
    tally.expect(reused == 0, f"{reused} reuses are recorded")
    asked = asked_by(chain.from_iterable(each.get("shown", ()) for each in told))
    judge_renewals(log, tally, EVERY_S, SPARE, away, late, asked, often)


def _share_without_a_lock(node: str, url: str, user_key: str, file: str) -> None:
    """What must not be done: two programs begin at the same time, and none waits for the other."""
    with httpx.Client(base_url=url) as api:
        token = authenticate(api, user_key)["refresh_token"]
    for each in _at_once(node, 2, url, file, "1", "0.1", "unlocked", told=token):
        _said(each, Tally())


def _share_without_a_file(node: str, url: str, user_key: str) -> None:
    """What must not be done: two programs have a copy of one token each, and both go on with it."""
    with httpx.Client(base_url=url) as api:
        first = token = authenticate(api, user_key)["refresh_token"]
        for _ in range(3):
            token = api.post("/refresh", json={"refresh_token": token}).json()["refresh_token"]
    with tempfile.TemporaryDirectory() as folder:
        program = _begin(node, "caller", url, f"{folder}/own.json", "1", "1", told=first)
        _said(program, Tally())


def _renews_late(node: str, url: str, user_key: str) -> bool:
    """What must be noticed: a program whose clocks go at a third of their speed."""
    found = Tally()
    with httpx.Client(base_url=url) as api:
        token = authenticate(api, user_key)["refresh_token"]
    with tempfile.TemporaryDirectory() as folder:
        asked = (url, f"{folder}/late.json", "10", "5", "slow")
        _read(_said(_begin(node, "caller", *asked, told=token), found) or {}, "process", found)
    return any('"reason":"expired"' in each for each in found.first)
