"""Programs and tabs share a session by the JavaScript client, and a verifier hears of ends in time.

In the long form 8 processes of Node, of 50 tasks each, call for a minute with tokens of two seconds
that rotate always, one file for all; meanwhile the service is stopped for ten seconds and started
again. Then two tabs of a browser do the same for a minute. Nobody is refused, but for a token whose
request took longer than it was good for, nobody is left without an answer but while the service is
gone, and no reuse is recorded. Then 100 sessions end, and a verifier refuses 99 of their tokens
within a second. The controls: two programs that share a refresh token and no file, and one whose
clocks are slow, so that it renews late. Knows the client as its users do.
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx

from domain import events
from tests.clients_javascript import package
from tests.http.steps import SECRET, authenticate, register
from tests.ports import free_port
from tests.prove.stored import check_log
from tests.prove.tally import Tally
from tests.running import Server, running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.stream import Recorded

PROPERTY: Final = "8 processes and 2 tabs share rotating tokens of 2 s: no reuse; ends are heard of"
SIZE: Final = 60
OF: Final = "seconds"
STEP: Final = 60
SHORT: Final = 3
STORES: Final = ("sqlite",)
PROCESSES, TASKS = (8, 2), (50, 10)
"""In the long form, and in the short one."""
TAB_TASKS: Final = 25
AWAY_S: Final = (10.0, 1.0)
ENDS: Final = (100, 3)
IN_TIME_S: Final = 1.0
LATE: Final = 1
"""Of those that end in the long form."""
PATIENCE_S: Final = 120.0

Program = subprocess.Popen[str]


def prove(url: str, count: int) -> Tally:
    """Call for `count` seconds."""
    node, tally, short = package.built(), Tally(), int(count < STEP)
    # They have a store and a server of their own, and wait for the most part.
    controls = ThreadPoolExecutor(1).submit(_are_noticed, node)
    issuer, origin = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    brief = _brief(url, issuer) | {"GATEBOOK_CORS_ORIGINS": origin}
    user_key = _share(node, brief, issuer, short, count, tally)
    with running(brief):
        _tabs(node, issuer, origin, user_key, count, tally)
    _judge(check_log(url, tally), tally)
    tally.tried = count
    with running({**brief, "GATEBOOK_ACCESS_TOKEN_TTL": "3600"}):
        asked = (issuer, user_key, str(ENDS[short]))
        ends: list[float] = _said(_begin(node, "ends", *asked, told=SECRET), tally) or []
    slow = sum(took >= IN_TIME_S for took in ends)
    tally.expect(len(ends) == ENDS[short], f"{len(ends)} of {ENDS[short]} ends were heard of")
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
    found, issuer = Tally(), f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        store = f"{SQLITE}{folder}/gatebook.db"
        with running(_brief(store, issuer)):
            with httpx.Client(base_url=issuer) as api:
                user_key = register(api, "shared", SECRET)
            _share_without_a_file(node, issuer, user_key)
            late = _renew_late(node, issuer, user_key)
        _judge(check_log(store, Tally()), found)
    return {
        "a session shared without a file": any(
            "reuses are recorded" in each for each in found.first
        ),
        "a client that renews late": late.violations > 0,
    }


def _share(
    node: str, brief: dict[str, str], url: str, short: int, seconds: int, tally: Tally
) -> str:
    """Processes call while the service goes away and comes back; whose session they share."""
    server = Server(brief)
    try:
        _ = server.port
        with httpx.Client(base_url=url) as api:
            user_key = register(api, "shared", SECRET)
            token = authenticate(api, user_key)["refresh_token"]
        with tempfile.TemporaryDirectory() as folder:
            asked = (url, f"{folder}/tokens.json", str(TASKS[short]), str(seconds))
            callers = [_begin(node, "caller", *asked, told=token) for _ in range(PROCESSES[short])]
            # In the midst of it the service is gone for a while.
            time.sleep(seconds / 3)
            stopping = time.time()
            server.stop()
            gone = time.monotonic()
            time.sleep(AWAY_S[short])
            server = Server(brief)
            _ = server.port
            tally.figure("the service was gone, s", time.monotonic() - gone)
            away = stopping, time.time()
            for each in callers:
                _read(_said(each, tally), "process", tally, away)
    finally:
        server.kill()
    return user_key


def _tabs(node: str, url: str, origin: str, user_key: str, seconds: int, tally: Tally) -> None:
    if not package.CHROMIUM.exists():
        tally.expect(False, f"there is no {package.CHROMIUM} for the tabs")
        return
    with httpx.Client(base_url=url) as api:
        token = authenticate(api, user_key)["refresh_token"]
    tabs = _said(_begin(node, "tabs", url, origin, str(TAB_TASKS), str(seconds), told=token), tally)
    for each in tabs or ():
        _read(each, "tab", tally)


def _begin(node: str, name: str, *arguments: str, told: str) -> Program:
    process = subprocess.Popen(
        [node, str(package.PROGRAMS / f"{name}.mjs"), *arguments],
        cwd=package.FOLDER,
        env=package.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # A token or a secret is no argument.
    if process.stdin is not None:
        process.stdin.write(f"{told}\n")
        process.stdin.close()
        process.stdin = None
    return process


def _said(program: Program, tally: Tally) -> Any:
    try:
        said, _ = program.communicate(timeout=PATIENCE_S)
    finally:
        program.kill()
    tally.expect(program.returncode == 0, f"a program ended with {program.returncode}")
    return json.loads(said or "null")


def _read(
    found: dict[str, Any] | None,
    what: str,
    tally: Tally,
    away: tuple[float, float] = (math.inf, -math.inf),
) -> None:
    """Judge what a caller told; `away` is when the service was, in seconds since the epoch."""
    told = found or {}
    for each, number in told.get("wrong", {}).items():
        for _ in range(min(number, 3)):
            tally.wrong(f"{number} times {each[:300]}")
    for begun, ended in told.get("unanswered", ()):
        meanwhile = begun <= away[1] and away[0] <= ended
        tally.expect(meanwhile, f"a {what} had no answer while the service was there")
        tally.count(f"calls of a {what} without an answer while the service was gone", meanwhile)
    tally.count(f"calls of a {what}", told.get("calls", 0))
    tally.count(f"requests of a {what} whose token was over on its way", told.get("late", 0))
    tally.count(f"tokens seen by a {what}", told.get("tokens", 0))
    tally.figure(f"slowest call of a {what}, s", told.get("slowest", 0.0))
    tally.expect(told.get("calls", 0) > 0, f"a {what} has called nobody")


def _judge(log: Iterable[Recorded], tally: Tally) -> None:
    """Rotations there are, and nothing that a reuse leaves."""
    found = Counter(type(each.event).__name__ for each in log)
    reused = found[events.RefreshTokenReuseDetected.__name__]
    tally.expect(reused == 0, f"{reused} reuses are recorded")
    tally.expect(found[events.RefreshTokenRotated.__name__] > 0, "nothing was rotated")
    tally.count("rotations", found[events.RefreshTokenRotated.__name__])


def _share_without_a_file(node: str, url: str, user_key: str) -> None:
    """What must not be done: two programs have a copy of one token each, and both go on with it."""
    with httpx.Client(base_url=url) as api:
        first = token = authenticate(api, user_key)["refresh_token"]
        for _ in range(3):
            token = api.post("/refresh", json={"refresh_token": token}).json()["refresh_token"]
    with tempfile.TemporaryDirectory() as folder:
        program = _begin(node, "caller", url, f"{folder}/own.json", "1", "1", told=first)
        _said(program, Tally())


def _renew_late(node: str, url: str, user_key: str) -> Tally:
    """What must be noticed: a program whose clocks go at a third of their speed."""
    found = Tally()
    with httpx.Client(base_url=url) as api:
        token = authenticate(api, user_key)["refresh_token"]
    with tempfile.TemporaryDirectory() as folder:
        asked = (url, f"{folder}/late.json", "10", "5", "slow")
        _read(_said(_begin(node, "caller", *asked, told=token), found), "process", found)
    return found
