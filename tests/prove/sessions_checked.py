"""Several processes use and end the sessions of the same users; their common history is checked.

All the while processes of the service are killed and started again.
Nothing that begins after the answer of what ends it succeeds: no login, grant, `/refresh`, bearer
check or introspection after the end of the session or of all, a new secret, a disabled or an erased
user, a withdrawn permission, of which an introspection doesn't tell any more. Security rule 16, and
30: a one-second cache of look-ups has to be found out; and so have secrets that are remembered, and
sessions that aren't found now and then.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import msgspec

from tests.ports import free_port
from tests.prove.board import Board, secret
from tests.prove.checker import Op, check
from tests.prove.client import Client, a_source
from tests.prove.load import Begun, new_name
from tests.prove.sessions_actor import ENDS, INTROSPECT, WATCHED
from tests.prove.sessions_client import Order, Process, break_in
from tests.prove.stored import check_log, grant
from tests.prove.tally import Tally
from tests.running import Server, running, running_all, settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROPERTY: Final = "no success begins after the answer of what ends it, in any process"
SIZE: Final = 50_000
OF: Final = "revocations"
STEP: Final = 2_000
SHORT: Final = 32
STORES: Final = ("sqlite", "postgresql")
PROCESSES: Final = 4
SHORT_PROCESSES: Final = 2
USERS: Final = 24
SHORT_USERS: Final = 6
AMONG: Final = 10
"""Requests for each revocation, at least; and for each one that is let in of both kinds below."""
REFRESHES: Final = "refreshes"
CHECKS: Final = "bearer checks"
MORTAL: Final = 40
SHORT_MORTAL: Final = 2
"""Users who are erased."""
BREACHES: Final = 16
PATIENCE_S: Final = 1_200
LIFE: Final = (50, 2_000)
SHORT_LIFE: Final = (60, 120)
"""Requests that a process answers before it is killed, at least and at most."""
SHARE: Final = 4
"""Among how many lives a request may have been answered, which is twice the servers."""
LOOK_S: Final = 0.01

_UNMINDFUL: Final = {
    "TEST_CREDENTIAL_CACHE": "1",
    "TEST_UNCHECKED_LOGIN": "1",
    "TEST_FORGETFUL": "3",
}
_UNMINDED: Final = {
    "disabled": "secrets that are remembered",
    "old_secret": "secrets that are remembered",
    "uncalled_for": "sessions that aren't found now and then",
}
_FOUND_OUT: Final = {"withdraw": 1, "end_all": 1}
_REQUEST: Final = b'"event":"request"'
_ROOT: Final = Path(__file__).parent.parent.parent


def prove(url: str, count: int) -> Tally:
    """Revoke `count` times, among ten times as many requests, on one store."""
    tally = Tally()
    long = count >= STEP
    users = USERS if long else SHORT_USERS
    processes = PROCESSES if long else SHORT_PROCESSES
    proxied = "127.0.0.0/8"
    serving = 2 if url.startswith("postgresql") else 1
    ports = [free_port() for _ in range(serving)]
    given = [settings(url, TRUSTED_PROXIES=proxied, PORT=str(port)) for port in ports]
    with running_all(*given) as servers:
        killer = Killer(given, servers, LIFE if long else SHORT_LIFE)
        mortal = MORTAL if long else SHORT_MORTAL
        history = history_of(url, ports, users, processes, count, ENDS, killer, mortal)
    erased = sum(op.did == "erase" and op.succeeded for op in history)
    tally.expect(erased >= mortal, f"{erased} of {mortal} were erased")
    tally.count("kills", killer.kills)
    least = max(1, AMONG * count // (SHARE * LIFE[1]))
    tally.expect(killer.kills >= least, f"{killer.kills} kills, at least {least} are wanted")
    _judge(history, count, tally)
    tally.tried += count
    with running(settings(url, TRUSTED_PROXIES=proxied, TEST_LOOKUP_CACHE="1")) as breach:
        doubted = history_of(url, [breach.port], SHORT_USERS, SHORT_PROCESSES, BREACHES, _FOUND_OUT)
    found = Counter(wrong.kind for wrong in check(doubted))
    for kind in ("ended", "withdrawn"):
        tally.control(f"a one-second cache of look-ups: {kind}", noticed=found[kind] > 0)
    _control_logins(settings(url, TRUSTED_PROXIES=proxied, **_UNMINDFUL), url, tally)
    check_log(url, tally)
    return tally


def _control_logins(given: Mapping[str, str], url: str, tally: Tally) -> None:
    """Whether it is noticed that one is let in by what was so before, and one refused for nothing.

    One after the other, so that no chance decides.
    """
    with running(given) as breach, tempfile.TemporaryDirectory() as directory:
        board = Path(directory) / "board"
        Board.make(board, 2)
        people, admin = asyncio.run(_people(breach.port, 2, url))
        order = Order(0, 1, [breach.port], people, admin.access_token, str(board), "", 0, {})
        process = Process(order)
        asyncio.run(break_in(process))
    found = Counter(wrong.kind for wrong in check(process.history))
    for kind, what in _UNMINDED.items():
        tally.control(f"{what}: {kind}", noticed=found[kind] > 0)


class Killer:
    """Kills servers in turn and starts each again at once, with the settings that it had.

    By what a server has answered, not by time: so some are killed on a fast machine as well.
    """

    def __init__(
        self, given: Sequence[Mapping[str, str]], servers: list[Server], life: tuple[int, int]
    ) -> None:
        self._given = given
        self._life = life
        self._servers = servers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill)
        self.kills = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _kill(self) -> None:
        while True:
            which = self.kills % len(self._servers)
            server = self._servers[which]
            enough = _answered(server) + random.randint(*self._life)
            while _answered(server) < enough:
                if self._over.wait(LOOK_S):
                    return
            server.kill()
            self._servers[which] = Server(self._given[which])
            _ = self._servers[which].port
            self.kills += 1


def _answered(server: Server) -> int:
    return server.said.count(_REQUEST)


def _judge(history: Sequence[Op], count: int, tally: Tally) -> None:
    for wrong in check(history):
        tally.wrong(f"{wrong}")
    found = Counter(map(_kind, history))
    answered = sum(op.status > 0 for op in history)
    tally.count("requests answered", answered)
    for what, number in found.items():
        tally.count(what, number)
    least = AMONG * count
    tally.expect(answered >= least, f"{answered} requests answered, {least} are wanted at least")
    for what in (REFRESHES, CHECKS):
        tally.expect(found[what] >= count, f"{found[what]} {what}, at least {count} are wanted")


def _kind(op: Op) -> str:
    """What a request was, for the count."""
    if not op.succeeded:
        if not op.status:
            return "requests cut"
        return "tokens refused" if op.refused else f"other answers of {op.status}"
    match op.did:
        case "":
            if op.what.endswith(INTROSPECT):
                return "introspections"
            return REFRESHES if op.what.endswith("/refresh") else CHECKS
        case "begin":
            return "logins"
        case "grant":
            return "grants"
        case "enable":
            return "given back"
        case "permit" if op.value:
            return "given back"
        case _:
            return "revocations"


def history_of(
    url: str,
    ports: Sequence[int],
    users: int,
    processes: int,
    count: int,
    ends: dict[str, int],
    meanwhile: AbstractContextManager[object] | None = None,
    mortal: int = 0,
) -> list[Op]:
    """What so many processes note, which revoke so often together."""
    with tempfile.TemporaryDirectory() as directory:
        board = Path(directory) / "board"
        Board.make(board, users + mortal)
        people, admin = asyncio.run(_people(ports[0], users + mortal, url))
        orders = [
            Order(
                number,
                processes,
                [*ports],
                people,
                admin.access_token,
                str(board),
                f"{directory}/history-{number}",
                count // processes + (number < count % processes),
                ends,
                mortal,
            )
            for number in range(processes)
        ]
        with meanwhile or nullcontext():
            _run(orders)
        histories = [Path(order.history).read_bytes() for order in orders]
    return [op for each in histories for op in msgspec.msgpack.decode(each, type=list[Op])]


async def _people(port: int, users: int, url: str) -> tuple[list[str], Begun]:
    """Users who may see the others, and an administrator."""
    found = []
    async with Client(port, a_source()) as client:
        for _ in range(users + 1):
            wish = {"user_id": new_name(), "user_secret": secret(0)}
            found.append(str((await client.post("/register", **wish)).json["user_key"]))
        *people, admin = found
        for each in people:
            await asyncio.to_thread(grant, url, each, WATCHED)
        await asyncio.to_thread(grant, url, admin, "admin")
        answer = await client.post("/authenticate", user_key=admin, user_secret=secret(0))
        return people, Begun(**answer.json)


def _run(orders: Sequence[Order]) -> None:
    """Each in a process of its own; all end before this does."""
    started = []
    try:
        for order in orders:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.prove.sessions_client"],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
            )
            started.append(process)
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
        for process in started:
            if process.wait(PATIENCE_S) != 0:
                message = "a process of clients failed; what it said is above"
                raise RuntimeError(message)
    finally:
        for process in started:
            process.kill()
            process.communicate()
