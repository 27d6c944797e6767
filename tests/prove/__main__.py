"""`python -m tests.prove [NAME …] [--short | --hours N | --table | --list] [--again]`: full size.

Every step's counts are kept in `.prove/`, so that a run which was broken off goes on where it
was; a change of what it runs begins anew. What went wrong is kept as well: until then it isn't
tried again, but with `--again`. A name takes at most 20 minutes, as far as its rounds are known:
what isn't finished then says so, and the next run goes on. `--hours` is for names that go by time,
and lets them take that long.
`--table` tells what is kept, in whatever form and of whatever source, and runs nothing; whoever
ends a run gets the table of what there is. `--list` tells what there is to be tried, and what it
needs besides what `./run test` installs. Exit code 1 when a property doesn't hold, a control
went unnoticed or there was none, or something is unfinished or can't be tried here; of `--table`
also when something is of another source.
"""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import tempfile
import time
import traceback
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, Protocol, cast

from tests.postgres import PostgresServer
from tests.prove.needs import needs, require
from tests.prove.results import Entry, Result, keep, kept, read, say, tell
from tests.prove.sources import ROOT, fingerprint
from tests.prove.tally import Tally, Untried

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES: Final = (
    "register_race",
    "kill",
    "drained",
    "power_cut",
    "io_errors",
    "full_disk",
    "slow_disk",
    "read_only",
    "backends",
    "restarted",
    "cut_off",
    "failover",
    "stopped",
    "lost_reply",
    "revoke_seen",
    "rotation_race",
    "lost_answers",
    "reuse",
    "login_races",
    "erased",
    "sessions_checked",
    "key_rotations",
    "revocation_stream",
    "event_stream",
    "rewrapped",
    "rebuilds",
    "steady",
    "alike",
    "nobody",
    "constant",
    "long_lived",
    "canary",
    "hostile_fields",
    "hostile_bytes",
    "hostile_tokens",
    "hostile_origins",
    "fuzzed",
    "conformance",
    "guessing",
    "soak",
    "as_of",
    "verified",
    "restored",
    "upgraded",
    "herd",
    "simulated",
    "client_python",
    "client_javascript",
)
SECONDS_A_NAME: Final = 20 * 60
KEPT: Final = ROOT / ".prove"
OTHER: Final = "of another source"


class Proof(Protocol):
    """What a module of this package offers: a property, its size, and one step of trying it.

    `SIZE` counts what `OF` says, in their plural, on each store.
    """

    PROPERTY: str
    SIZE: int
    OF: str
    STEP: int
    SHORT: int
    STORES: tuple[str, ...]

    def prove(self, url: str, count: int) -> Tally:
        """Try `count` times on a new store.

        `DEMANDED`, where a proof has it, is what has to be counted once at least at full size, and
        `HOUR` how much of `SIZE` an hour is.
        """


class Databases:
    """New stores; one PostgreSQL server for all of a run."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server: PostgresServer | None = None

    @contextmanager
    def new(self, kind: str) -> Iterator[str]:
        """The URL of an empty database."""
        if kind == "sqlite":
            with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as directory:
                yield f"sqlite:///{directory}/gatebook.db"
            return
        if self._server is None:
            self._server = self._stack.enter_context(PostgresServer())
        yield self._server.create_database()


def main() -> int:
    """Run what is asked for; the exit code."""
    given, proofs = _asked()
    if given.table:
        return _show(proofs)
    if given.list:
        return _list(proofs)
    signal.signal(signal.SIGTERM, _end)
    source = {name: fingerprint(name) for name in proofs}
    # One that makes an application has everything logged from then on, also what others send.
    for library in ("httpx", "httpx2"):
        logging.getLogger(library).setLevel(logging.WARNING)
    results: list[tuple[Result, str]] = []
    try:
        with ExitStack() as stack:
            databases = Databases(stack)
            for name, proof in proofs.items():
                size, form, seconds = _sized(proof, given)
                minutes = Minutes(seconds)
                for kind in proof.STORES:
                    new = Result(name, kind, form, Entry(source[name], Tally(), size.whole))
                    result = _begun(new, again=given.again)
                    results.append((result, proof.PROPERTY))
                    try:
                        require(name)
                        _try(proof, databases, result, size.step, minutes)
                    except Untried as error:
                        results[-1] = (result._replace(remark=f"{error}"), proof.PROPERTY)
    finally:
        tell(results)
    return 0 if all(result.entry.shows for result, _ in results) else 1


def _asked() -> tuple[argparse.Namespace, dict[str, Proof]]:
    """The options, and the proofs that are meant; what is wrong with them is told first."""
    parser = argparse.ArgumentParser(prog="./run prove", description="The long proofs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", action="store_true", help="one small step of each")
    form.add_argument("--hours", type=_hours, metavar="N", help="so long, where time is the size")
    form.add_argument("--table", action="store_true", help="what was found before; runs nothing")
    form.add_argument("--list", action="store_true", help="sizes and needs; runs nothing")
    parser.add_argument("--again", action="store_true", help="forget what was tried before")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    proofs = {name: proof_of(name) for name in given.names or NAMES}
    if given.again and (given.table or given.list):
        parser.error("--table and --list run nothing that --again could try")
    if given.hours is not None:
        if not given.names:
            parser.error("--hours is for names that are given")
        if timeless := [name for name, proof in proofs.items() if not getattr(proof, "HOUR", 0)]:
            parser.error(f"{', '.join(timeless)}: doesn't go by time")
    return given, proofs


def _hours(text: str) -> float:
    """More than none, and some day over."""
    hours = float(text)
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: hours are a number above 0")
    return hours


def proof_of(name: str) -> Proof:
    """The module of that name."""
    return cast("Proof", import_module(f"tests.prove.{name}"))


def _end(number: int, frame: object) -> NoReturn:
    """Leave by the way that stops what was started."""
    del frame
    sys.exit(128 + number)


class Size(NamedTuple):
    """How often something is tried, and how often with one store."""

    whole: int
    step: int


class Minutes:
    """What is left for a name: a round begins where one as long as the longest so far would end."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._longest = 0.0
        self._begun = False

    @property
    def left(self) -> bool:
        """Whether another round may begin; the first does, however long it may take."""
        return not self._begun or time.monotonic() + self._longest < self._until

    def took(self, seconds: float) -> None:
        """A round did, now or in an earlier run, on whichever store."""
        self._longest = max(self._longest, seconds)

    def begin(self) -> None:
        """A round begins."""
        self._begun = True


def _sized(proof: Proof, given: argparse.Namespace) -> tuple[Size, str, float]:
    """How much is asked for, what that form is called, and how many seconds it may take."""
    if given.hours is not None:
        whole = max(round(given.hours * getattr(proof, "HOUR", 0)), 1)
        return Size(whole, whole), f"{given.hours}h", math.inf
    size = Size(proof.SHORT if given.short else proof.SIZE, proof.STEP)
    return size, "short" if given.short else "", SECONDS_A_NAME


def _begun(result: Result, *, again: bool) -> Result:
    """With what was found of this source before, a failure too: another run may be luckier."""
    path = KEPT / result.file
    if again:
        path.unlink(missing_ok=True)
    found = read(path)
    if found is None or found.source != result.entry.source:
        return result
    if found.tally.untried and found.tally.holds:
        return result  # what was lacking may be here by now
    found.size = result.entry.size
    return result._replace(entry=found, remark=_failed(found))


def _failed(entry: Entry) -> str:
    return "" if entry.tally.holds else "failed in an earlier run, --again tries anew"


def _show(proofs: dict[str, Proof]) -> int:
    """What is kept of them, in whatever form; the exit code, 1 unless all of it shows something."""
    results = []
    for name, proof in proofs.items():
        for found in kept(KEPT, name):
            other = found.entry.source != fingerprint(name)
            remark = OTHER if other else _failed(found.entry)
            results.append((found._replace(remark=remark), proof.PROPERTY))
    if not results:
        say("nothing is kept")
    tell(results)
    right = [found.entry.shows and found.remark != OTHER for found, _ in results]
    return 0 if right and all(right) else 1


def _list(proofs: dict[str, Proof]) -> int:
    """Each with its size and what it needs; the exit code."""
    for name, proof in proofs.items():
        print(f"{name}: {proof.SIZE:,} {proof.OF}{''.join(f'; {each}' for each in needs(name))}")
    return 0


def _try(
    proof: Proof, databases: Databases, result: Result, at_once: int, minutes: Minutes
) -> None:
    """Go on from what is kept; stop at the size, at the first violation, or when time is up.

    Raises `Untried` where it can't be tried.
    """
    entry, path = result.entry, KEPT / result.file
    tally, size = entry.tally, entry.size
    minutes.took(tally.longest)
    while tally.tried < size and tally.holds and minutes.left:
        minutes.begin()
        count = min(at_once, size - tally.tried)
        started = time.monotonic()
        try:
            with databases.new(result.kind) as url:
                step = proof.prove(url, count)
        except Untried:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, kept and a failure
            step = _broken_off(error)
        if fingerprint(result.name) != entry.source:
            raise Untried("what it runs has changed since the start: run it anew")
        if not step.tried:
            step.expect(not step.holds, "a round that tried nothing")
        step.seconds = step.longest = time.monotonic() - started
        minutes.took(step.seconds)
        tally.add(step)
        if not result.form and tally.tried >= size:
            for each in getattr(proof, "DEMANDED", ()):
                tally.expect(tally.counts.get(each, 0) > 0, f"of all that was tried: no {each}")
        keep(path, entry)
        say(f"{path.stem}: {tally.tried} of {size}, {tally.violations} violations")


def _broken_off(error: Exception) -> Tally:
    """A round that came to no end: it proved nothing, and what it counted is gone."""
    traceback.print_exception(error)
    (*_, last) = traceback.extract_tb(error.__traceback__)
    where = f"{Path(last.filename).name}, line {last.lineno}"
    step = Tally()
    step.wrong(f"broken off: {type(error).__name__}: {error} ({where})")
    return step


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
