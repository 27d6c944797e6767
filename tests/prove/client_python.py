"""Programs share a session by the Python client, and a verifier hears of ends in time.

In the long form 8 processes of 50 tasks call for a minute with tokens of two seconds that rotate
always, one cache for all: nobody sees a 401, no reuse is recorded, and they renew once for all.
They begin at the same time, and the first answer is late, so that all need what one of them gets:
no token is shown twice, but for one whose answer was lost when the service went away. A token is
good until the second in which it is over, so there is one renewal a second, and one more of each
process, which knows the service's clock to a second at first. Meanwhile the service is stopped for
ten seconds and started again: calls wait for a token, and none fails but those that the service was
gone in the midst of. Then 100 sessions end, and a verifier refuses 99 of their tokens within a
second. The controls: two programs that share a refresh token and no cache, and two that share a
cache without its lock. A call that took longer than its token was still good for says nothing about
the client; such are counted apart. Knows the client as its users do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from domain import events
from gatebook_client import GatebookAuth, GatebookError, SessionEnded, Verifier
from tests.http.steps import SECRET, authenticate, register
from tests.ports import free_port
from tests.prove.client_python_caller import SlowAtFirst
from tests.prove.renewals import TWICE, Away, asked_by, judge_excused, judge_renewals
from tests.prove.stored import check_log
from tests.prove.tally import Tally
from tests.running import Server, running, settings
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from domain.stream import Recorded
    from tests.prove.renewals import Asked

PROPERTY: Final = "8 x 50 share tokens of 2 s: renewed once for all, no 401; ends are heard of"
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
EVERY_S: Final = 1.0
"""A token of two seconds is renewed in the second in which it is over, and the next one then is of
that second or a later one."""
SEEN: Final = 5
"""Tokens that both have seen, when the other one's was replaced more than once, and is over."""
CALLS, EXCUSED = "calls", "tokens over on their way"
_MOMENT_S: Final = 0.002

Caller = subprocess.Popen[str]


def prove(url: str, count: int) -> Tally:
    """Call for `count` seconds."""
    tally, short = Tally(), int(count < STEP)
    # They have a store and a server of their own, and wait for the most part.
    controls = ThreadPoolExecutor(1).submit(_are_noticed)
    port = free_port()
    issuer, brief = f"http://127.0.0.1:{port}", _brief(url, port)
    server = Server(brief)
    try:
        _ = server.port
        with httpx.Client(base_url=issuer) as api:
            user_key = register(api, "shared", SECRET)
            token = authenticate(api, user_key)["refresh_token"]
        with tempfile.TemporaryDirectory() as folder:
            callers = _callers(issuer, folder, token, PROCESSES[short])
            for each in callers:
                _tell(each, TASKS[short], count)
            # In the midst of it the service is gone for a while.
            time.sleep(count / 3)
            gone, stopping = time.monotonic(), time.time()
            server.stop()
            time.sleep(AWAY_S[short])
            server = Server(brief)
            _ = server.port
            back = time.monotonic()
            tally.figure("the service was gone, s", back - gone)
            shown = [_read(each, (gone, back), tally) for each in callers]
    finally:
        server.kill()
    away = Away(stopping, stopping + back - gone)
    asked = asked_by(chain.from_iterable(shown))
    _judge(check_log(url, tally), tally, PROCESSES[short], away, asked)
    tally.tried = count
    long_lived = {**brief, "GATEBOOK_ACCESS_TOKEN_TTL": "3600"}
    with running(long_lived):
        late = _end(issuer, user_key, ENDS[short], tally)
    judge_excused(tally, CALLS, EXCUSED, busy=bool(short))
    if not short:
        tally.expect(late <= LATE, f"{late} of {ENDS[short]} ends were heard of late")
    for name, noticed in controls.result().items():
        tally.control(name, noticed=noticed)
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


def _callers(url: str, folder: str, token: str, number: int) -> list[Caller]:
    """All of them, ready to begin. A token is no argument."""
    callers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.prove.client_python_caller", url, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(number)
    ]
    for each in callers:
        _tell(each, token)
    for each in callers:
        assert each.stdout is not None
        each.stdout.readline()
    return callers


def _tell(caller: Caller, *lines: object) -> None:
    assert caller.stdin is not None
    caller.stdin.write("".join(f"{line}\n" for line in lines))
    caller.stdin.flush()


def _read(caller: Caller, away: tuple[float, float], tally: Tally) -> Sequence[tuple[str, float]]:
    """Judge what a caller told; what it showed for its renewals, and when."""
    said, _ = caller.communicate(timeout=PATIENCE_S)
    tally.expect(caller.returncode == 0, f"a caller ended with {caller.returncode}")
    found = json.loads(said or "{}")
    for what, number in found.get("wrong", {}).items():
        for _ in range(min(number, 3)):
            tally.wrong(f"{number} times {what}")
    for began, ended, why in found.get("cut", []):
        tally.expect(began < away[1] and ended > away[0], f"a call got no answer: {why}")
        tally.count("calls cut off while the service was gone", began < away[1])
    tally.count(CALLS, found.get("calls", 0))
    tally.count("calls answered 503", found.get("unavailable", 0))
    tally.count(EXCUSED, found.get("over_on_the_way", 0))
    tally.count("tokens seen", found.get("tokens", 0))
    tally.figure("slowest call, s", found.get("slowest", 0.0))
    tally.expect(found.get("calls", 0) > 0, "a caller has called nobody")
    shown: list[tuple[str, float]] = found.get("shown", [])
    return shown


def _judge(
    log: Sequence[Recorded],
    tally: Tally,
    programs: int,
    away: Away | None = None,
    asked: Asked | None = None,
) -> None:
    """Renewals there are, once for all, and nothing that a reuse leaves."""
    reused = sum(isinstance(each.event, events.RefreshTokenReuseDetected) for each in log)
    tally.expect(reused == 0, f"{reused} reuses are recorded")
    judge_renewals(log, tally, EVERY_S, 1 + programs, away, asked=asked)


def _are_noticed() -> dict[str, bool]:
    """The controls: whether each shows."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        store, url = f"{SQLITE}{folder}/gatebook.db", f"http://127.0.0.1:{port}"
        with running(_brief(store, port)):
            apart = _share_without_a_cache(url)
            unlocked = _share_without_a_lock(url, Path(folder) / "tokens.json")
        log = check_log(store, Tally())
    return {
        "a session shared without a cache": _shows(log, apart, "reuses are recorded"),
        "a cache without its lock": _shows(log, unlocked, TWICE),
    }


def _shows(log: Iterable[Recorded], user_key: str, what: str) -> bool:
    found = Tally()
    _judge([each for each in log if each.stream == user_key], found, 2)
    return any(what in each for each in found.first)


def _share_without_a_cache(url: str) -> str:
    """What must not be done: two programs have a copy of one token each, and both go on with it."""
    with httpx.Client(base_url=url) as api:
        user_key = register(api, "apart", SECRET)
        token = authenticate(api, user_key)["refresh_token"]
    busy, idle = (GatebookAuth(url, refresh_token=token) for _ in range(2))
    seen = {each.access_token() for each in (busy, idle)}
    until = time.monotonic() + PATIENCE_S
    while len(seen) < SEEN and time.monotonic() < until:
        seen.add(busy.access_token())
        time.sleep(_MOMENT_S)
    with suppress(GatebookError):
        idle.access_token()
    return user_key


def _share_without_a_lock(url: str, cache: Path) -> str:
    """What must not be done: two programs begin at the same time, and none waits for the other."""
    with httpx.Client(base_url=url) as api:
        user_key = register(api, "unlocked", SECRET)
        token = authenticate(api, user_key)["refresh_token"]
    programs = [
        GatebookAuth(url, refresh_token=token, cache=cache, transport=SlowAtFirst())
        for _ in range(2)
    ]
    for each in programs:
        each._keeper._shared.locked = nullcontext  # type: ignore[method-assign]
    with ThreadPoolExecutor(len(programs)) as threads:
        list(threads.map(GatebookAuth.access_token, programs))
    for each in programs:
        each.close()
    return user_key


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
