"""Everything at once for long, then rest: what the service holds stays the same, and it is idle.

People register, log in, refresh, rotate and revoke; others guess, read the log, follow it, look at
pages. Meanwhile memory, threads, open files, the write-ahead log and connections to the database
are looked at. Each is *flat* when the median of the last quarter of the looks isn't above that of
the second quarter by more than its `LIMITS` say; before the first look caches are filled. Then
everybody leaves, and the service must cost next to nothing. The controls leak all of them on
purpose, some three times what would be seen in as long as they are looked at, and do a little when
nobody asks. `--hours N` takes as long as one likes.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx

from app.writer import CACHED_STREAMS
from tests.benchmarks.processes import SERVICE, serving
from tests.benchmarks.processor import cpu_seconds
from tests.prove.client import Client, a_source
from tests.prove.load import (
    SECRET,
    Begun,
    Ledger,
    log_in,
    new_name,
    refresh,
    register,
    revoke,
    start,
)
from tests.prove.stored import grant
from tests.prove.tally import Tally
from tests.running import settings
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from tests.benchmarks.processes import Served

PROPERTY: Final = "15 minutes of load, 3 of rest: memory, threads, files, SQLite's WAL flat; idle"
SIZE: Final = 900
OF: Final = "seconds"
STEP: Final = 900
SHORT: Final = 3
HOUR: Final = 3_600
"""Of what `SIZE` counts, which is seconds: `--hours` may ask for more."""
STORES: Final = ("sqlite", "postgresql")
REST: Final = 0.2
"""Of the time of the load: 3 minutes after 15."""
CONTROL_S: Final = 35
"""Of load on a service that leaks."""
CONTROL_REST_S: Final = 9
LEAKS: Final = 4
"""What is seen of them: that many come between the two quarters that are compared, or one less."""
TIMES: Final = 3
"""A leak of memory is so many times what is seen."""
HELD: Final = 130 * 1_000_000
"""Bytes of memory that the service holds under load."""
LOOKS: Final = 180
"""How often it is looked, at most each quarter of a second."""
FILLED: Final = 2 * CACHED_STREAMS
"""People who come first, so that every cache is as full as it gets."""
FILLING: Final = 0.25
"""Of the time, at most."""
IDLE_PERCENT: Final = 2.0
"""Of a core, in the last two thirds of the rest."""
PAUSE_S: Final = 0.03
"""Between two requests of one actor: it is to go on for long, and not to be as much as it takes."""
LEAKING: Final = ("-m", "tests.server")

_MIB: Final = 1 << 20
_CONNECTIONS: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'gatebook' AND datname = current_database()"""
_PAGES: Final = ("/", "/login", "/register", "/docs", "/model", "/errors/invalid_token")


class Look(NamedTuple):
    """What a process holds at one moment; memory and the write-ahead log in bytes."""

    memory: int
    threads: int
    files: int
    wal: int
    connections: int


LIMITS: Final = Look(memory=0, threads=1, files=4, wal=_MIB, connections=1)
"""By how much it may have grown: what comes and goes with requests."""
UNSTEADY: Final = 8
"""Times as much in the short form: a request more or less counts, and pools begin their threads."""
OF_BYTES: Final = ("memory", "wal")
MEMORY: Final = 0.05
"""Memory by so much of what it was: caches that have a bound may still fill a little."""


def prove(url: str, count: int) -> Tally:
    """Load it for `count` seconds, let it rest, and look at a server that leaks."""
    tally = Tally()
    long = count >= STEP
    given = settings(url)
    del given["GATEBOOK_TEST_LEASH"]  # nobody holds the other end
    with tempfile.TemporaryDirectory(prefix="gatebook-soak-") as directory:
        folder = Path(directory)
        with serving(SERVICE, given, folder / "log") as served:
            soak = Soak(url, served)
            looks = asyncio.run(soak.work(count, tally, filled=long))
            judge(looks, tally, long=long)
            _rest(soak, looks, count * REST, tally, long=long)
        _control(url, min(CONTROL_S, count), given, folder / "leak", tally, long=long)
    tally.tried += count
    return tally


def _control(
    url: str, seconds: float, given: Mapping[str, str], log: Path, tally: Tally, *, long: bool
) -> None:
    """A service that does a little while nobody asks, and then leaks all that is judged."""
    leaking = Tally()
    broken = {**given, "GATEBOOK_TEST_LEAK": leak(seconds, long=long)}
    if long:
        broken["GATEBOOK_TEST_RESTLESS"] = f"{TIMES * IDLE_PERCENT}"
    with serving(LEAKING, broken, log) as served:
        if long:
            percent = _percent(served.pid, CONTROL_REST_S)
            tally.figure("% of a core of one that is restless", percent)
            tally.control("a service that is restless", noticed=percent > IDLE_PERCENT)
        looks = asyncio.run(Soak(url, served).work(seconds, leaking, filled=long))
        judge(looks, leaking, long=long)
    bounded = "wal" if url.startswith(SQLITE) else "connections"
    for what in ("threads", "files", bounded, "memory"):
        if long or what not in OF_BYTES:
            noticed = any(each.startswith(f"{what} grew") for each in leaking.first)
            tally.control(f"a leak of {what}", noticed=noticed)


def leak(seconds: float, *, long: bool) -> str:
    """How often what leaks, and how many bytes, to be seen in so much load: of the breach."""
    looked = seconds * (1 - FILLING if long else 1)
    leaks = LEAKS * (1 if long else UNSTEADY)
    return f"{looked / 2 / leaks:.3f} {round(TIMES * MEMORY * HELD / leaks)}"


def judge(looks: Sequence[Look], tally: Tally, *, long: bool) -> None:
    """Compare the last quarter with the second; bytes only where caches had time to fill."""
    quarter = len(looks) // 4
    if not quarter:
        tally.wrong("nobody looked")
        return
    for number, (what, limit) in enumerate(zip(Look._fields, LIMITS, strict=True)):
        second, last = (
            statistics.median(each[number] for each in looks[begin : begin + quarter])
            for begin in (quarter, len(looks) - quarter)
        )
        of_bytes = what in OF_BYTES
        most = second + limit * (1 if long else UNSTEADY)
        if what == "memory":
            most = second * (1 + MEMORY)
        if long or not of_bytes:
            tally.expect(last <= most, f"{what} grew from {second:,.0f} to {last:,.0f}")
        scale, unit = (_MIB, ", MiB") if of_bytes else (1, "")
        tally.figure(f"{what} in the second quarter{unit}", second / scale)
        tally.figure(f"{what} in the last quarter{unit}", last / scale)


def _rest(soak: Soak, looks: Sequence[Look], seconds: float, tally: Tally, *, long: bool) -> None:
    """Nobody asks: what came for somebody has gone, and little is done."""
    percent = _percent(soak.pid, seconds)
    after, before = soak.look(), looks[-1]
    # So short a load ends before every thread of a pool has begun.
    most = before.threads + (0 if long else UNSTEADY * LIMITS.threads)
    tally.expect(after.threads <= most, f"threads stay: {before.threads}, {after.threads}")
    tally.expect(after.files <= before.files, f"files stay open: {before.files}, {after.files}")
    tally.figure("files at rest", after.files)
    for what in OF_BYTES if long else ():
        had, has = getattr(before, what), getattr(after, what)
        tally.expect(has <= had * (1 + MEMORY), f"{what} at rest: {had:,} to {has:,} bytes")
    tally.figure("% of a core at rest", percent)
    if long:
        tally.expect(percent <= IDLE_PERCENT, f"it takes {percent:.1f} % of a core at rest")


def _percent(pid: int, seconds: float) -> float:
    """Of a core, in the last two thirds of so long."""
    time.sleep(seconds / 3)
    used, since = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds * 2 / 3)
    return 100 * (cpu_seconds(pid) - used) / (time.monotonic() - since)


class Soak:
    """A server under all kinds of load, and what it holds."""

    def __init__(self, url: str, served: Served) -> None:
        self.pid = served.pid
        self._port = served.port
        self._url = url
        self._ledger = Ledger()
        self._rng = random.Random(served.pid)
        self._over = False

    def look(self) -> Look:
        """What it holds now, as Linux and the database say."""
        proc = Path(f"/proc/{self.pid}")
        status = dict(
            line.split(":\t", 1)
            for line in (proc / "status").read_text().splitlines()
            if ":\t" in line
        )
        files = len(list((proc / "fd").iterdir()))
        memory = int(status["VmRSS"].split()[0]) * 1024
        if self._url.startswith(SQLITE):
            wal = Path(self._url.removeprefix(SQLITE) + "-wal")
            return Look(memory, int(status["Threads"]), files, wal.stat().st_size, 0)
        with intrude(self._url) as intruder:
            ((connections,),) = intruder.run(_CONNECTIONS)
        return Look(memory, int(status["Threads"]), files, 0, int(connections or 0))

    async def work(self, seconds: float, tally: Tally, *, filled: bool) -> list[Look]:
        """Everything at once for so long; what was seen meanwhile, when caches were `filled`."""
        async with Client(self._port) as client:
            for path in _PAGES:  # what is made when it is first asked for takes a while
                self._ledger.note("pages", await client.get(path), 200, 503)
        end = time.monotonic() + seconds
        begun = await self._administrator()
        await self._fill(FILLED if filled else 0, end - seconds * (1 - FILLING))
        looks = []
        actors: list[Callable[[], Awaitable[None]]] = [
            *[self._come_and_go] * 3,
            *[self._stay] * 4,
            *[self._rotate] * 4,
            *[self._guess] * 2,
            *[lambda: self._read(begun)] * 2,
            lambda: self._follow(begun),
            *[lambda: self._visit(begun)] * 2,
        ]
        async with asyncio.TaskGroup() as group:
            for act in actors:
                group.create_task(self._again(act))
            pause = max(seconds / LOOKS, 0.25)
            while time.monotonic() < end:
                await asyncio.sleep(pause)
                looks.append(await asyncio.to_thread(self.look))
            self._over = True
        for fault in self._ledger.unexpected:
            tally.wrong(fault)
        for what, number in self._ledger.answers.items():
            tally.count(what, number)
        return looks

    async def _again(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self._over:
            await act()

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(0.5, 1.5) * PAUSE_S)

    async def _administrator(self) -> Begun:
        async with Client(self._port, a_source()) as client:
            user_key = await register(client, self._ledger) or ""
            await asyncio.to_thread(grant, self._url, user_key, "events:read")
            return await start(client, user_key)

    async def _fill(self, people: int, until: float) -> None:
        """So many register, log in and refresh, as fast as they can."""

        async def come(left: Iterator[int]) -> None:
            async with Client(self._port, a_source()) as client:
                for _ in left:
                    user_key = await register(client, self._ledger) or ""
                    token = await log_in(client, self._ledger, user_key)
                    await refresh(client, self._ledger, token or "")
                    if time.monotonic() > until:
                        return

        left = iter(range(people))
        await asyncio.gather(*(come(left) for _ in range(16)))

    async def _come_and_go(self) -> None:
        """Register, log in three times, use each, and end one."""
        async with Client(self._port, a_source()) as client:
            user_key = await register(client, self._ledger)
            for each in range(3 if user_key else 0):
                token = await log_in(client, self._ledger, user_key or "")
                await self._pause()
                if token is not None:
                    await refresh(client, self._ledger, token)
                    if each == 0:
                        await revoke(client, self._ledger, token)
                await self._pause()

    async def _stay(self) -> None:
        """One session for a while, refreshed and used."""
        async with Client(self._port, a_source()) as client:
            user_key = await register(client, self._ledger) or ""
            begun = await start(client, user_key)
            for _ in range(200):
                answer = await client.post("/refresh", refresh_token=begun.refresh_token)
                if self._ledger.note("/refresh", answer, 200, 503):
                    seen = await client.get("/me", answer.json["access_token"])
                    self._ledger.note("/me", seen, 200, 503)
                await self._pause()
                if self._over:
                    return

    async def _rotate(self) -> None:
        """One session whose token changes each time; all of the user's end then."""
        async with Client(self._port, a_source()) as client:
            begun = await start(client, await register(client, self._ledger) or "")
            token, access = begun.refresh_token, begun.access_token
            for _ in range(50):
                answer = await client.post("/refresh", refresh_token=token, rotate=True)
                if self._ledger.note("/refresh, rotated", answer, 200, 503):
                    token, access = answer.json["refresh_token"], answer.json["access_token"]
                await self._pause()
                if self._over:
                    break
            self._ledger.note(
                "DELETE /sessions", await client.call("DELETE", "/sessions", access), 204, 503
            )

    async def _guess(self) -> None:
        """A wrong secret, a name that nobody has, a token that was made up."""
        known = self._rng.choice([*self._ledger.registered.values()] or [""])
        async with Client(self._port, a_source()) as client:
            wrong = await client.post("/authenticate", user_key=known, user_secret=f"not {SECRET}")
            self._ledger.note("/authenticate, wrong", wrong, 401, 429, 503)
            named = await client.post("/userkey", user_id=new_name(), user_secret=SECRET)
            self._ledger.note("/userkey, unknown", named, 401, 429, 503)
            forged = await client.post("/refresh", refresh_token="gbr_" + "0" * 77)
            self._ledger.note("/refresh, forged", forged, 401)
            await self._pause()

    async def _read(self, begun: Begun) -> None:
        """The log, page by page, and the revocations."""
        async with Client(self._port, a_source()) as client:
            token = await self._renewed(client, begun)
            after = ""
            while token and not self._over:
                page = await client.get(f"/events?limit=200{after}", token)
                if not self._ledger.note("/events", page, 200, 503):
                    return
                after = f"&after={page.json['next']}"
                self._ledger.note(
                    "/revocations", await client.get("/revocations?limit=50"), 200, 503
                )
                await self._pause()
                if page.json["next"] is None:
                    return

    async def _follow(self, begun: Begun) -> None:
        """The log as it happens, for some seconds at a time."""
        async with Client(self._port) as client:
            token = await self._renewed(client, begun)
        if not token:  # it was answered 503
            return
        until = time.monotonic() + self._rng.uniform(1, 10)
        headers = {"Authorization": f"Bearer {token}"}
        here = f"http://127.0.0.1:{self._port}"
        with suppress(httpx.RemoteProtocolError):
            async with (
                httpx.AsyncClient(base_url=here, timeout=30) as follower,
                follower.stream("GET", "/events/stream", headers=headers) as answer,
            ):
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        self._ledger.answers["events on the stream"] += 1
                    if time.monotonic() > until or self._over:
                        break

    async def _visit(self, begun: Begun) -> None:
        """Pages, as a stranger and as somebody."""
        async with Client(self._port, a_source()) as client:
            for path in _PAGES:
                self._ledger.note("pages", await client.get(path), 200, 503)
                await self._pause()
            cookie = {"Cookie": f"gatebook={begun.refresh_token}"}
            for path in ("/account", "/account/history", "/admin/log"):
                seen = await client.send("GET", path, None, cookie)
                self._ledger.note("pages of somebody", seen, 200, 503)
                await self._pause()

    async def _renewed(self, client: Client, begun: Begun) -> str:
        answer = await client.post("/refresh", refresh_token=begun.refresh_token)
        good = self._ledger.note("/refresh", answer, 200, 503)
        token: str = answer.json["access_token"] if good else ""
        return token
