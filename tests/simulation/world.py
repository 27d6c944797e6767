"""The world of a run: processes over one store, people, thieves, a network, what befalls them all.

A step is a request or its copy, a jump of the clock, or a crash; after each the witness has looked
at the log and the judge at the answer. The first violation ends the run.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.bootstrap import open_vault, policy_of
from app.caller import command_line, system
from app.store import open_store
from domain import events
from domain.errors import GatebookError
from domain.permission import ADMIN
from domain.policy import SECOND
from domain.refresh_token import parse
from domain.stream import CLI
from projections.storage_sqlite import SqliteStorage
from tests.simulation.administrators import Administrator
from tests.simulation.clocks import SKEW_S, Clocks
from tests.simulation.family import Request
from tests.simulation.judge import Arrival, Judge
from tests.simulation.many_devices import Devices
from tests.simulation.network import Network
from tests.simulation.outcome import Outcome, told
from tests.simulation.owners import Owner
from tests.simulation.people import Person
from tests.simulation.process import Answer, Process, settings_of
from tests.simulation.thief import Thief
from tests.simulation.violation import Violation
from tests.simulation.witness import Witness

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from app.bootstrap import Service
    from tests.simulation.plan import Change, Fault, Habit, Plan
    from tests.simulation.unsure_file import Fate
    from tests.simulation.virtual_time import VirtualLoop

JUMP_S: Final = 3_600.0
JUMP_EVERY_S: Final = 20_000.0
CRASH_EVERY_S: Final = 40_000.0
KEYS_EVERY_S: Final = 30_000.0
SHORT_WINDOW_S: Final = 60.0
"""In a retry window below that nobody can ask more than once or twice."""
FOLLOWED_S: Final = 60.0
"""After a commit some process follows within this time."""
SERVES_S: Final = 60.0
"""Once nothing befalls it any more, by then a process writes again."""
_SECRET: Final = "a quiet rope of seven"
_CREATED: Final = 201


class World:
    """What takes part in a run, and its chances."""

    def __init__(
        self,
        plan: Plan,
        loop: VirtualLoop,
        path: Path,
        started: Callable[[Service], None],
        tell: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self._say = tell
        self.steps = 0
        self.counts: Counter[str] = Counter()
        self.over = loop.create_future()
        self.now = loop.time
        given = settings_of(plan.settings)
        policy = msgspec.structs.replace(policy_of(given), session_cap=plan.cap)
        self.window = policy.retry_window / SECOND
        self.always_rotates = given.refresh_rotation == "always"
        self.people = [Person(self, number) for number in plan.people]
        self.administrators = [Administrator(self, number) for number in plan.administrators]
        self._owners = {each: Owner(each) for each in (*self.people, *self.administrators)}
        self._thieves = [Thief(self, number) for number in plan.thieves]
        self._loop = loop
        self._network = Network(self, loop)
        self._trace = hashlib.sha256()
        self._faults = frozenset(plan.faults)
        self._news = True
        self.clocks = Clocks(loop)
        storage = SqliteStorage(path, synchronous="OFF", clock=self.clocks.store)
        store = open_store(storage, open_vault(given), "ES256")
        self.witness = Witness(path, store.ring, loop.time, self.counts, policy)
        storage.close()
        self.judge = Judge(self.witness, self.clocks, self.counts, policy)
        self.access_s = float(given.access_token_ttl)
        self.idle_s = float(given.session_idle)
        self.longest_s = float(given.session_max)
        self._follows = False
        self._operating_rng = plan.chance("operator")
        self._following_rng = plan.chance("following")
        self.processes = [
            Process(
                loop,
                self.clocks,
                path,
                given,
                policy,
                plan.chance("process", number),
                self._fate,
                self._turn,
                self._committed,
                self._crashed,
                started,
            )
            for number in range(plan.processes)
        ]
        for process in self.processes:
            process.start()
            if self.may("skewed clock") and plan.processes > 1:
                process.skew = process.rng.uniform(-SKEW_S, SKEW_S)

    async def run(self) -> None:
        """Until all steps are done; raises the first `Violation`, or whatever else went wrong."""
        self._loop.set_exception_handler(self._burst)
        tasks = [self._loop.create_task(each.live()) for each in self.people]
        tasks += [self._loop.create_task(each.live()) for each in self._thieves]
        if self.plan.changes:
            tasks += [self._loop.create_task(each.live()) for each in self.administrators]
            tasks += [self._loop.create_task(each.live()) for each in self._owners.values()]
        if self.has("logs in often"):
            tasks += [self._loop.create_task(Devices(each).live()) for each in self.people]
        tasks += [self._loop.create_task(self._befall(each)) for each in self.processes]
        if self.may("clock jump"):
            tasks.append(self._loop.create_task(self._jump()))
        if self.may("key rotation"):
            tasks.append(self._loop.create_task(self._rotate_keys()))
        for task in tasks:
            task.add_done_callback(self.failed)
        await self.over
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for number, process in enumerate(self.processes):
            await self._serves(process, number)

    async def _serves(self, process: Process, number: int) -> None:
        """Whatever befell it, it writes once nothing befalls it any more; raises `Violation`."""
        self._faults = frozenset()
        if not process.up:
            process.start()
        process.file.away = 0
        body = msgspec.json.encode({"user_id": f"last-{number}", "user_secret": _SECRET})
        headers, source = [(b"content-type", b"application/json")], f"198.51.100.{number}"
        until = self.now() + SERVES_S
        while self.now() < until:
            answer = await process.ask("POST", "/register", body, headers, source)
            if answer.status == _CREATED:
                return
            await asyncio.sleep(1)
        raise Violation("over", f"process {number} answers {answer.status} {answer.body!r}")

    def failed(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._end(error)

    def _burst(self, loop: object, context: dict[str, Any]) -> None:
        """What something that the loop called by itself has raised, as the start of a process."""
        del loop
        if "handle" in context:
            self._end(context["exception"])

    def expect(self, right: bool, kind: str, what: str) -> None:
        if not right:
            self._end(Violation(kind, what))

    def _end(self, error: Exception | None = None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(None)
        else:
            self.over.set_exception(error)

    def outcome(self, error: Exception | None = None) -> Outcome:
        kind, what = ("", "") if error is None else told(error)
        for family in (each for person in self.people for each in person.families):
            self.counts["sessions, stolen" if family.stolen else "sessions, not stolen"] += 1
            if not family.stolen:
                window = "a short window" if self.window < SHORT_WINDOW_S else "a window"
                self.counts[f"sessions of {window}"] += 1
                self.counts[f"sessions of {window}, beyond the rules"] += family.beyond
        trace = self._trace.hexdigest()
        return Outcome(self.steps, trace, dict(sorted(self.counts.items())), kind, what)

    def close(self) -> None:
        for process in self.processes:
            process.file.close()
        self.witness.close()

    @staticmethod
    def generation_of(token: str) -> int:
        found = parse(token)
        assert found is not None
        return found.generation

    async def send(self, request: Request, rng: random.Random) -> Answer:
        """As `Network.send`."""
        return await self._network.send(request, rng)

    def judged(self, request: Request, arrival: Arrival, answer: Answer) -> None:
        """An answer leaves a process."""
        self.look()
        try:
            self.judge.answered(request, arrival, answer)
        except Violation as violation:
            self._end(violation)
        self.step(
            f"{request.label} {request.told} {request.generation} {answer.status} {answer.reason}"
        )

    def step(self, what: str) -> None:
        self.look()
        if self.over.done():
            return
        self.steps += 1
        line = f"{self.now():.6f} {what}"
        self._trace.update(line.encode() + b"\n")
        self._say(line)
        if self.steps >= self.plan.steps:
            self._end()

    def look(self) -> None:
        if self._news and not self.over.done():
            self._news = False
            try:
                self.witness.look()
            except Violation as violation:
                self._end(violation)

    # What befalls processes and their store.

    def may(self, fault: Fault) -> bool:
        return fault in self._faults

    def changes(self, what: Change) -> bool:
        return what in self.plan.changes

    def has(self, habit: Habit) -> bool:
        return habit in self.plan.habits

    def _committed(self) -> None:
        self._news = True
        if not self._follows and not self.over.done():
            self._follows = True
            self._loop.call_later(self._following_rng.uniform(0.1, FOLLOWED_S), self._follow)

    def _follow(self) -> None:
        """As a process does that looks for news; what it writes itself is none."""
        if not self.over.done():
            up = [each for each in self.processes if each.up]
            if up:
                self._following_rng.choice(up).follow(self.witness.position)
                self.counts["views followed"] += 1
        self._follows = False

    def _fate(self, process: Process) -> Fate:
        rng = process.rng
        drawn, away = rng.random(), rng.random()
        fates: tuple[tuple[Fault, Fate, float], ...] = (
            ("lost commit", "lost", 0.01),
            ("lost acknowledgement", "done but reported lost", 0.02),
            ("crash before commit", "crash before", 0.002),
            ("crash after commit", "crash after", 0.003),
        )
        for fault, fate, chance in fates:
            drawn -= chance
            if drawn < 0:
                if not self.may(fault):
                    return "kept"
                self.counts[fault] += 1
                if not fate.startswith("crash") and away < 0.3 and self.may("store away"):
                    # The longest is more than a writer waits for.
                    process.file.away = rng.choice((1, 3, 20, 210))
                    self.counts["store away"] += 1
                return fate
        return "kept"

    def _turn(self, process: Process) -> tuple[float, float]:
        """How long until the writer takes a batch, and how long that takes."""
        rng = process.rng
        before, late, slow = rng.uniform(0, 0.01), rng.uniform(0, 0.01), rng.random()
        if slow < 0.02 and self.may("slow commit"):
            self.counts["slow commit"] += 1
            return rng.uniform(0, 2), rng.uniform(0, 2.5)
        return before, late

    async def _befall(self, process: Process) -> None:
        """Crash now and then."""
        while self.may("crash"):
            await asyncio.sleep(process.rng.expovariate(1 / CRASH_EVERY_S))
            if process.up:
                process.crash()

    def _crashed(self, process: Process) -> None:
        self.counts["crash"] += 1
        self._loop.call_later(process.rng.uniform(0.1, 3), self._restart, process)

    def _restart(self, process: Process) -> None:
        if not self.over.done():
            process.start()
            self.step("a process starts again")

    async def _jump(self) -> None:
        rng = self.plan.chance("clock")
        while True:
            await asyncio.sleep(rng.expovariate(1 / JUMP_EVERY_S))
            by = rng.choice((-1, 1)) * rng.choice((0.5, 30, JUMP_S * rng.random()))
            self.clocks.jump(by)
            if self.may("skewed clock") and len(self.processes) > 1:
                for process in self.processes:
                    process.skew = process.rng.uniform(-SKEW_S, SKEW_S)
            self.counts["clock jump"] += 1
            self.step(f"clock {by}")

    def tell(self, person: Person) -> None:
        """Somebody has other permissions now, and hears of it."""
        hearing = self._loop.create_task(self._owners[person].hear())
        hearing.add_done_callback(self.failed)

    async def appoint(self, user_key: str) -> None:
        """As an operator does at the command line, who repeats what wasn't done."""
        self.witness.standing.asked.add((CLI, events.UserPermissionsSet.name, user_key))
        while not self.over.done():
            user = self.witness.users[user_key]
            if ADMIN in user.permissions or user.status == "erased":
                return
            up = [each for each in self.processes if each.up]
            if up:
                administration = self._operating_rng.choice(up).service.administration
                with suppress(GatebookError):
                    await administration.grant(user_key, (ADMIN,), command_line())
                self.look()
                self.step("an administrator")
            await asyncio.sleep(self._operating_rng.uniform(0.1, 5))

    async def _rotate_keys(self) -> None:
        """As an operator does who fears for a key, and as a service does by its age."""
        rng = self.plan.chance("keys")
        while True:
            await asyncio.sleep(rng.expovariate(1 / KEYS_EVERY_S))
            process = rng.choice(self.processes)
            at_once = rng.random() < 0.5
            if process.up:
                rotation = process.service.key_rotation
                with suppress(GatebookError):
                    await rotation.rotate(system(), at_once=at_once)
                    await rotation.tend(process.service.keys.known, process.clock())
                self.step(f"keys {at_once}")
