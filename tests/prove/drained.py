"""A service that is told to stop under load finishes what is open, ends streams, and goes.

SIGTERM comes while people are at work. Some requests have half of their body there, which comes
after the service has begun to stop; some wait for a store that somebody else holds. All of them are
answered, streams end as they should, nobody new is let in meanwhile, and within 10 s the process
has ended with code 0. What was acknowledged, up to the last answer, is stored; the next life
begins over it. One life in ten has a request that never ends: it isn't waited for beyond that.
The controls: a service that waits for nobody, and leaves its streams; one that is gone before what
it has answered is written. Contract §10.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.prove.changes import have_administrator
from tests.prove.client import Answer, Client, Cut, a_source
from tests.prove.load import (
    Ledger,
    Refused,
    check_tokens,
    log_in,
    register,
    revoke,
    session_of,
    start,
    working,
)
from tests.prove.stored import an_empty, check_store, lose_the_last_registration
from tests.prove.tally import Tally
from tests.running import Server, running, settings
from tests.store.intruding import SQLITE, intrude

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    Wish = Callable[[Client, Ledger], Awaitable[object]]

PROPERTY: Final = "SIGTERM under load: what is open is finished, gone in 10 s, nothing lost"
SIZE: Final = 120
OF: Final = "stops"
STEP: Final = 20
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
GONE_S: Final = 10.0
"""From the signal to the end, at most."""
LIVES: Final = 5, 60
"""After how many acknowledgements a service is told to stop, at least and at most."""
LIFE_S: Final = 20.0
"""By then it has to have given them."""
PEOPLE: Final = 8
EACH: Final = 2
"""Open requests of a kind."""
LATE_S: Final = 0.5
"""How long after nobody is let in any more the rest of a body comes, at most."""
REFUSED_S: Final = 5.0
"""By then nobody is let in any more."""
WAITED_S: Final = 1.7
"""Whoever has waited for so long may hear that the store can't be written in time."""
DEAF: Final = 10
"""One life in so many has a request that never ends, and never the first."""
EARLIER_S: Final = "10"
"""How much earlier than it is written the control answers: it is gone long before."""
STREAMS: Final = ("/revocations/stream", "/events/stream", "/web/live")
_END: Final = b"\r\n0\r\n\r\n"
_HOLD: Final = {
    True: ("BEGIN IMMEDIATE",),
    False: ("BEGIN", "LOCK TABLE events IN EXCLUSIVE MODE"),
}
"""By whether it is SQLite."""
_OPEN: Final = "an open request"
_ENDLESS: Final = (
    b"POST /revoke HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: 100\r\n\r\n{"
)


class Open(Client):
    """One whose request is open when the service is told to stop.

    It is `sent`, but for half of its body if it is `halting`: that comes when it is `going`.
    """

    def __init__(self, port: int, *, halting: bool) -> None:
        super().__init__(port, a_source())
        self.sent = asyncio.Event()
        self.going = asyncio.Event()
        self.answers: list[Answer] = []
        self._halting = halting

    async def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        answer = await super().send(method, path, body, headers)
        self.answers.append(answer)
        return answer

    async def _exchange(self, request: bytes) -> tuple[int, bytes, dict[str, str]]:
        _, writer = await self._connected()
        left = len(request.partition(b"\r\n\r\n")[2]) // 2 if self._halting else 0
        first, second = request[: len(request) - left], request[len(request) - left :]
        writer.write(first)
        self.sent.set()
        if second:
            await self.going.wait()
        return await super()._exchange(second)

    async def finish(self, work: Awaitable[object], tally: Tally) -> None:
        """Do it: the first answer has to be a success, unless the store was waited for in vain."""
        cut = ""
        try:
            await work
        except Cut as error:
            cut = f"{error}"
        finally:
            await self.close()
        if not self.answers:
            tally.wrong(f"{_OPEN}: {cut}")
            return
        first = self.answers[0]
        late = first.status == 503 and first.seconds >= WAITED_S
        right = 200 <= first.status < 300
        tally.expect(right or late, f"{_OPEN}: {first.status} {first.body!r}")
        tally.count("open requests that were finished", int(right))
        tally.count("open requests that waited for the store in vain", int(late))


def prove(url: str, count: int) -> Tally:
    """Stop a service `count` times on one store."""
    tally, ledger = Tally(), Ledger()
    have_administrator(url, ledger)
    checked: set[str] = set()
    for number in range(count):
        deaf = number % DEAF == DEAF - 1
        with running(settings(url)) as server:
            asyncio.run(_live(server, url, ledger, checked, tally, deaf=deaf))
        tally.tried += 1
    with running(settings(url)) as server:
        asyncio.run(check_tokens(server.port, ledger, _new(ledger, checked), tally))
    for each in ledger.unexpected:
        tally.wrong(each)
    ledger.report(tally)
    check_store(url, ledger, tally)
    lose_the_last_registration(url, ledger, tally)
    _break(an_empty(url, "impatient"), tally)
    tally.control("gone before what it answered is written", noticed=_loses(an_empty(url, "gone")))
    return tally


def _break(url: str, tally: Tally) -> None:
    """The controls of what is open."""
    second, ledger = Tally(), Ledger()
    have_administrator(url, ledger)
    with running(settings(url, TEST_IMPATIENT="1", TEST_UNTOLD_STREAMS="1")) as server:
        asyncio.run(_live(server, url, ledger, set(), second))
    for what in (_OPEN, *STREAMS):
        noticed = any(each.startswith(f"{what}: ") for each in second.first)
        tally.control(f"{what} that isn't waited for", noticed=noticed)


def _loses(url: str) -> bool:
    """The other control: what was answered and wasn't written is missed."""
    tally, ledger = Tally(), Ledger()

    async def answered(port: int) -> None:
        async with Client(port, a_source()) as client:
            await register(client, ledger)

    with running(settings(url, TEST_EARLY_ANSWER=EARLIER_S, TEST_UNDRAINED="1")) as server:
        asyncio.run(answered(server.port))
        server.stop()
    check_store(url, ledger, tally)
    return any(each.startswith("lost: the registration") for each in tally.first)


def _new(ledger: Ledger, checked: set[str]) -> set[str]:
    new = {*ledger.sessions, *ledger.ended} - checked
    checked |= new
    return new


async def _live(
    server: Server,
    url: str,
    ledger: Ledger,
    checked: set[str],
    tally: Tally,
    *,
    deaf: bool = False,
) -> None:
    """Over the sessions of the life before to the end of this one, in order."""
    port = server.port
    await check_tokens(port, ledger, _new(ledger, checked), tally)
    ledger.logins[ledger.administrator] += 1
    async with Client(port, a_source()) as client:
        token = (await start(client, ledger.administrator)).access_token
        wishes = await _wishes(client, ledger)
    async with working([port], ledger, PEOPLE):
        await _worked(ledger, tally)
        streams = [Stream(port, path, token) for path in STREAMS]
        for stream in streams:
            await stream.begin(tally)
        halves = [Open(port, halting=True) for _ in wishes]
        clock = asyncio.get_running_loop()
        pairs = zip(halves, wishes, strict=True)
        doing = [each.finish(wish(each, ledger), tally) for each, wish in pairs]
        if deaf:
            doing.append(_never(port, tally))
        opened = [asyncio.create_task(each) for each in doing]
        with _held(url):
            waiting = [Open(port, halting=False) for _ in range(EACH)]
            doing = [each.finish(register(each, ledger), tally) for each in waiting]
            opened += [asyncio.create_task(each) for each in doing]
            for each in (*halves, *waiting):
                await each.sent.wait()
            async with Client(port, a_source()) as client:
                # Whatever was sent before has been read when this is answered.
                await client.get("/healthz")
            told = clock.time()
            os.kill(server.pid, signal.SIGTERM)
            await _refused(port, tally)
        for each in halves:
            clock.call_later(random.uniform(0, LATE_S), each.going.set)
        await asyncio.gather(*opened, *(stream.end(tally) for stream in streams))
        code = await asyncio.to_thread(server.ended)
        took = clock.time() - told
    tally.expect(code == 0, f"the exit code is {code}")
    tally.expect(took <= GONE_S, f"gone {took:.1f} s after the signal")
    tally.expect(b'"drained":true' in server.said, "it doesn't say that it has drained")
    tally.figure("gone after a request that never ends, s" if deaf else "gone, s", took)


async def _worked(ledger: Ledger, tally: Tally) -> None:
    """Until so much more is acknowledged; its moment is none in particular."""
    enough = ledger.acknowledged + random.randint(*LIVES)
    try:
        async with asyncio.timeout(LIFE_S):
            while ledger.acknowledged < enough:  # noqa: ASYNC110 - at any moment of it
                await asyncio.sleep(random.uniform(0.001, 0.02))
    except TimeoutError:
        tally.wrong(f"{enough - ledger.acknowledged} acknowledgements too few in {LIFE_S} s")


async def _wishes(client: Client, ledger: Ledger) -> list[Wish]:
    """What is to be asked for: some of each kind."""
    wishes: list[Wish] = [register] * EACH
    for _ in range(EACH):
        user_key = await register(client, ledger)
        rotated, ended = [await log_in(client, ledger, user_key or "") for _ in range(2)]
        if user_key is None or rotated is None or ended is None:
            raise Refused("nobody is there to ask")
        wishes.append(partial(log_in, user_key=user_key))
        wishes.append(partial(_rotate, token=rotated))
        wishes.append(partial(revoke, token=ended))
    return wishes


async def _rotate(client: Client, ledger: Ledger, token: str) -> None:
    answer = await client.post("/refresh", refresh_token=token, rotate=True)
    if ledger.note("/refresh", answer, 200, 503):
        ledger.sessions[session_of(token)] = answer.json["refresh_token"]


async def _never(port: int, tally: Tally) -> None:
    """A request whose body never comes: it is told so before the service is gone."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(a_source(), 0))
    writer.write(_ENDLESS)
    try:
        answer = await reader.read()
    except OSError as error:
        answer = repr(error).encode()
    writer.close()
    tally.expect(answer.startswith(b"HTTP/1.1 503 "), f"a request that never ends: {answer!r}")


async def _refused(port: int, tally: Tally) -> None:
    """Wait until nobody is let in any more."""
    with suppress(TimeoutError):
        async with asyncio.timeout(REFUSED_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    return
                except OSError:
                    # In the moment in which it closes.
                    continue
                writer.close()
                await asyncio.sleep(0.01)
    tally.wrong(f"somebody is let in {REFUSED_S} s after the signal")


class Stream:
    """Somebody who follows a stream."""

    def __init__(self, port: int, path: str, token: str) -> None:
        self._port = port
        self._path = path
        self._token = token

    async def begin(self, tally: Tally) -> None:
        """Be let in."""
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(a_source(), 0)
        )
        lines = (
            f"GET {self._path} HTTP/1.1",
            "host: 127.0.0.1",
            f"authorization: Bearer {self._token}",
        )
        self._writer.write("".join(f"{each}\r\n" for each in (*lines, "")).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        tally.expect(head.split()[1] == b"200", f"{self._path}: {head!r}")

    async def end(self, tally: Tally) -> None:
        """Read to the end, which has to be one."""
        try:
            read = await self._reader.read()
        except OSError as error:
            read = repr(error).encode()
        tally.expect(read.endswith(_END), f"{self._path}: cut off after {read[-100:]!r}")
        self._writer.close()


@contextmanager
def _held(url: str) -> Iterator[None]:
    """Nobody else writes to the store."""
    with intrude(url) as intruder:
        for each in _HOLD[url.startswith(SQLITE)]:
            intruder.run(each)
        try:
            yield
        finally:
            intruder.run("ROLLBACK")
