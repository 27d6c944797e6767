"""Programs share a session by the Python client, and a verifier hears of ends in time.

In the long form 8 processes of 50 tasks call for a minute with tokens of two seconds that rotate
always, one cache for all: nobody sees a 401, and no reuse is recorded. Meanwhile the service is
stopped for ten seconds and started again: calls wait for a token, and none fails but those that the
service was gone in the midst of. Then 100 sessions end, and a verifier refuses 99 of their tokens
within a second. The control: two programs that share a refresh token and no cache. A call that took
longer than its token was still good for says nothing about the client; such are counted apart.
Knows the client as its users do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from domain import events
from gatebook_client import GatebookAuth, GatebookError, SessionEnded, Verifier
from tests.http.steps import SECRET, authenticate, register
from tests.ports import free_port
from tests.prove.stored import check_log
from tests.prove.tally import Tally
from tests.running import Server, running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.stream import Recorded

PROPERTY: Final = "8 x 50 share rotating tokens of 2 s: no reuse, no 401; ends are heard of"
SIZE: Final = 60
OF: Final = "seconds"
STEP: Final = 60
SHORT: Final = 3
STORES: Final = ("sqlite",)
PROCESSES, TASKS = (8, 2), (50, 10)
"""In the long form, and in the short one."""
AWAY_S: Final = (10.0, 1.0)
ENDS: Final = (100, 3)
IN_TIME_S: Final = 1.0
LATE: Final = 1
"""Of those that end in the long form."""
PATIENCE_S: Final = 60.0
SEEN: Final = 5
"""Tokens that both have seen, when the other one's was replaced more than once, and is over."""
_MOMENT_S: Final = 0.002

Caller = subprocess.Popen[str]


def prove(url: str, count: int) -> Tally:
    """Call for `count` seconds."""
    tally, short = Tally(), int(count < STEP)
    # It has a store and a server of its own, and waits for the most part.
    control = ThreadPoolExecutor(1).submit(_is_noticed)
    port = free_port()
    issuer, brief = f"http://127.0.0.1:{port}", _brief(url, port)
    server = Server(brief)
    try:
        _ = server.port
        with httpx.Client(base_url=issuer) as api:
            user_key = register(api, "shared", SECRET)
            token = authenticate(api, user_key)["refresh_token"]
        with tempfile.TemporaryDirectory() as folder:
            callers = [
                _caller(issuer, folder, TASKS[short], count, token) for _ in range(PROCESSES[short])
            ]
            # In the midst of it the service is gone for a while.
            time.sleep(count / 3)
            gone = time.monotonic()
            server.stop()
            time.sleep(AWAY_S[short])
            server = Server(brief)
            _ = server.port
            back = time.monotonic()
            tally.figure("the service was gone, s", back - gone)
            for each in callers:
                _read(each, (gone, back), tally)
    finally:
        server.kill()
    _judge(check_log(url, tally), tally)
    tally.tried = count
    long_lived = {**brief, "GATEBOOK_ACCESS_TOKEN_TTL": "3600"}
    with running(long_lived):
        late = _end(issuer, user_key, ENDS[short], tally)
    if not short:
        tally.expect(late <= LATE, f"{late} of {ENDS[short]} ends were heard of late")
    tally.control("a session shared without a cache", noticed=control.result())
    return tally


def _brief(url: str, port: int) -> dict[str, str]:
    """Settings of a service whose tokens are over soon, and rotate always."""
    return settings(
        url,
        PORT=str(port),
        ISSUER=f"http://127.0.0.1:{port}",
        ACCESS_TOKEN_TTL="2",
        REFRESH_ROTATION="always",
        REFRESH_AUDIT="every",
    )


def _caller(url: str, folder: str, tasks: int, seconds: int, token: str) -> Caller:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.prove.client_python_caller", url, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    # A token is no argument.
    if process.stdin is not None:
        process.stdin.write(f"{tasks}\n{seconds}\n{token}\n")
        process.stdin.flush()
    return process


def _read(caller: Caller, away: tuple[float, float], tally: Tally) -> None:
    said, _ = caller.communicate(timeout=PATIENCE_S)
    tally.expect(caller.returncode == 0, f"a caller ended with {caller.returncode}")
    found = json.loads(said or "{}")
    for what, number in found.get("wrong", {}).items():
        for _ in range(min(number, 3)):
            tally.wrong(f"{number} times {what}")
    for began, ended, why in found.get("cut", []):
        tally.expect(began < away[1] and ended > away[0], f"a call got no answer: {why}")
        tally.count("calls cut off while the service was gone", began < away[1])
    tally.count("calls", found.get("calls", 0))
    tally.count("calls answered 503", found.get("unavailable", 0))
    tally.count("tokens over on their way", found.get("over_on_the_way", 0))
    tally.count("tokens seen", found.get("tokens", 0))
    tally.figure("slowest call, s", found.get("slowest", 0.0))
    tally.expect(found.get("calls", 0) > 0, "a caller has called nobody")


def _judge(log: Iterable[Recorded], tally: Tally) -> None:
    """Rotations there are, and nothing that a reuse leaves."""
    found = Counter(type(each.event).__name__ for each in log)
    reused = found[events.RefreshTokenReuseDetected.__name__]
    tally.expect(reused == 0, f"{reused} reuses are recorded")
    tally.expect(found[events.RefreshTokenRotated.__name__] > 0, "nothing was rotated")
    tally.count("rotations", found[events.RefreshTokenRotated.__name__])


def _is_noticed() -> bool:
    """The control: whether it shows that two programs shared a session without a cache."""
    found, port = Tally(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        store = f"{SQLITE}{folder}/gatebook.db"
        with running(_brief(store, port)):
            _share_without_a_cache(f"http://127.0.0.1:{port}")
        _judge(check_log(store, Tally()), found)
    return any("reuses are recorded" in each for each in found.first)


def _share_without_a_cache(url: str) -> None:
    """What must not be done: two programs have a copy of one token each, and both go on with it."""
    with httpx.Client(base_url=url) as api:
        token = authenticate(api, register(api, "shared", SECRET))["refresh_token"]
    busy, idle = (GatebookAuth(url, refresh_token=token) for _ in range(2))
    seen = {each.access_token() for each in (busy, idle)}
    until = time.monotonic() + PATIENCE_S
    while len(seen) < SEEN and time.monotonic() < until:
        seen.add(busy.access_token())
        time.sleep(_MOMENT_S)
    with suppress(GatebookError):
        idle.access_token()


def _end(url: str, user_key: str, count: int, tally: Tally) -> int:
    """End sessions one by one; how many were heard of late."""
    verifier, late = Verifier(url), 0
    with httpx.Client(base_url=url) as api:
        for _ in range(count):
            tokens = authenticate(api, user_key)
            verifier.verify(tokens["access_token"])
            heard = threading.Event()
            answer = api.post("/revoke", json={"refresh_token": tokens["refresh_token"]})
            answered = time.monotonic()
            tally.expect(answer.status_code == 200, f"/revoke: {answer.status_code}")
            while not heard.wait(_MOMENT_S):
                try:
                    verifier.verify(tokens["access_token"])
                except SessionEnded:
                    heard.set()
            took = time.monotonic() - answered
            late += took >= IN_TIME_S
            tally.figure("an end of session heard of, s", took)
    verifier.close()
    tally.count("ends heard of late", late)
    return late
