"""`python -m tests.prove [NAME …] [--short | --hours N] [--again]`: try each at its full size.

Every step's counts are kept in `.prove/`, so that a run which was broken off goes on where it
was; a change of the source begins anew. What went wrong is kept as well: until then it isn't tried
again, but with `--again`. A name takes at most 20 minutes: what isn't finished then says so, and
the next run goes on. `--hours` is for names that go by time, and lets them take that long. Exit
code 1 when a property doesn't hold, a control went unnoticed or there was none, or something is
unfinished.
"""

from __future__ import annotations

import argparse
import hashlib
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

import msgspec

from tests.postgres import PostgresServer
from tests.prove.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAMES: Final = (
    "register_race",
    "kill",
    "power_cut",
    "io_errors",
    "full_disk",
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
    "upgraded",
    "herd",
    "simulated",
    "client_python",
    "client_javascript",
)
SECONDS_A_NAME: Final = 19 * 60
ROOT: Final = Path(__file__).parent.parent.parent
KEPT: Final = ROOT / ".prove"
HEAD: Final = ("property", "tried", "violations", "control", "seconds")

_PRODUCT: Final = ("app", "domain", "projections")
_PROGRAMS: Final = frozenset({".py", ".c", ".ts", ".mjs"})
_SOURCES: Final = (
    *_PRODUCT,
    "tests/prove",
    "tests/simulation",
    "tests/server.py",
    "tests/nursery.py",
    "tests/running.py",
    "tests/ports.py",
    "tests/postgres.py",
    "tests/postgres_pair.py",
    "tests/waiting.py",
    "tests/benchmarks/processes.py",
    "tests/benchmarks/processor.py",
    "tests/store/chain.py",
    "tests/store/intruding.py",
    "tests/store/traces.py",
    "tests/store/unsure.py",
    "tests/store/wishing.py",
    "tests/app/living.py",
    "tests/store/living.py",
    "tests/domain/histories.py",
    "tests/domain/samples.py",
    "tests/domain/specification.py",
    "tests/http/conformance.py",
    "tests/http/conformance_hooks.py",
    "tests/http/framing.py",
    "tests/http/genuine.py",
    "tests/http/people.py",
    "tests/http/steps.py",
    "tests/stores/kept.py",
    "tests/stores/make.py",
    "tests/golden/openapi.json",
    "tests/tokens/chance.py",
    "tests/tokens/forging.py",
    "tests/tokens/mutants.py",
    "tests/oauth_clients/conftest.py",
    "tests/oauth_clients/on_node.py",
    "tests/oauth_clients/program.py",
    "clients/python/gatebook_client",
    "clients/javascript/src",
    "clients/javascript/test/programs",
    "clients/javascript/test/pages.mjs",
    "clients/javascript/package.json",
    "clients/javascript/package-lock.json",
    "clients/javascript/tsdown.config.ts",
    "clients/javascript/tsconfig.build.json",
    "clients/javascript/tsconfig.json",
    "tests/clients_javascript/package.py",
    "requirements.lock",
    "tests/requirements.lock",
    "tests/prove/requirements.lock",
)
"""What decides what a proof finds: folders of source, and files."""


class Proof(Protocol):
    """What a module of this package offers: a property, its size, and one step of trying it."""

    PROPERTY: str
    SIZE: int
    STEP: int
    SHORT: int
    STORES: tuple[str, ...]

    def prove(self, url: str, count: int) -> Tally:
        """Try `count` times on a new store."""


class Entry(msgspec.Struct):
    """What one property on one store has come to; `source` says of which code."""

    source: str
    tally: Tally


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
    parser = argparse.ArgumentParser(prog="./run prove", description="The long proofs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--short", action="store_true", help="one small step of each")
    parser.add_argument("--hours", type=_hours, metavar="N", help="so long, where time is the size")
    parser.add_argument("--again", action="store_true", help="forget what was tried before")
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: there are {', '.join(NAMES)}")
    proofs = {name: _proof(name) for name in given.names or NAMES}
    if given.hours is not None:
        if not given.names:
            parser.error("--hours is for names that are given")
        if given.short:
            parser.error("--hours and --short are two sizes: give one")
        if timeless := [name for name, proof in proofs.items() if not getattr(proof, "HOUR", 0)]:
            parser.error(f"{', '.join(timeless)}: doesn't go by time")
    signal.signal(signal.SIGTERM, _end)
    # A proof that makes an application has everything logged from then on, each of its requests too.
    for library in ("httpx", "httpx2"):
        logging.getLogger(library).setLevel(logging.WARNING)
    done = True
    table: list[tuple[str, ...]] = [HEAD]
    with ExitStack() as stack:
        databases = Databases(stack)
        for name, proof in proofs.items():
            until = time.monotonic() + SECONDS_A_NAME
            for kind in proof.STORES:
                label = "-short" if given.short else f"-{given.hours}h" if given.hours else ""
                path = KEPT / f"{name}-{kind}{label}.json"
                if given.again:
                    path.unlink(missing_ok=True)
                size = proof.SHORT if given.short else proof.SIZE
                step, takes = proof.STEP, getattr(proof, "TAKES_S", 0)
                if given.hours is not None:
                    size = step = max(round(given.hours * getattr(proof, "HOUR", 0)), 1)
                    until, takes = math.inf, 0
                entry = _kept(path)
                earlier = not entry.tally.holds
                tally = _try(proof, databases, kind, Size(size, step), until - takes, path, entry)
                done = done and tally.shows(size)
                row = _row(name, proof.PROPERTY, kind, tally, size, earlier=earlier)
                table.append(row)
    _print(table)
    return 0 if done else 1


def _hours(text: str) -> float:
    """More than none, and some day over."""
    hours = float(text)
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: hours are a number above 0")
    return hours


def _proof(name: str) -> Proof:
    return cast("Proof", import_module(f"tests.prove.{name}"))


def _end(number: int, frame: object) -> NoReturn:
    """Leave by the way that stops what was started."""
    del frame
    sys.exit(128 + number)


class Size(NamedTuple):
    """How often something is tried, and how often with one store."""

    whole: int
    step: int


def _try(
    proof: Proof,
    databases: Databases,
    kind: str,
    size: Size,
    until: float,
    path: Path,
    entry: Entry,
) -> Tally:
    """Go on from what is kept; stop at the size, at the first violation, or when time is up."""
    tally = entry.tally
    while tally.tried < size.whole and tally.holds and time.monotonic() < until:
        count = min(size.step, size.whole - tally.tried)
        started = time.monotonic()
        try:
            with databases.new(kind) as url:
                step = proof.prove(url, count)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, kept and a failure
            step = _broken_off(error)
        if not step.tried:
            step.expect(not step.holds, "a round that tried nothing")
        step.seconds = time.monotonic() - started
        tally.add(step)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(msgspec.json.encode(entry))
        _say(f"{path.stem}: {tally.tried} of {size.whole}, {tally.violations} violations")
    return tally


def _broken_off(error: Exception) -> Tally:
    """A round that came to no end: it proved nothing, and what it counted is gone."""
    traceback.print_exception(error)
    (*_, last) = traceback.extract_tb(error.__traceback__)
    where = f"{Path(last.filename).name}, line {last.lineno}"
    step = Tally()
    step.wrong(f"broken off: {type(error).__name__}: {error} ({where})")
    return step


def _kept(path: Path) -> Entry:
    """What was found of this source before, a failure too: another run may be luckier."""
    source = _fingerprint()
    try:
        entry = msgspec.json.decode(path.read_bytes(), type=Entry)
    except (OSError, msgspec.DecodeError):
        return Entry(source, Tally())
    return entry if entry.source == source else Entry(source, Tally())


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sources():
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def sources() -> list[Path]:
    """Every file whose change makes all proofs begin anew."""
    found: list[Path] = []
    for name in _SOURCES:
        path = ROOT / name
        found += sorted(filter(_is_source, path.rglob("*"))) if path.is_dir() else [path]
    return found


def _is_source(path: Path) -> bool:
    """Of the product every file; of the tests and the clients those that are programs."""
    if "__pycache__" in path.parts or not path.is_file():
        return False
    return path.relative_to(ROOT).parts[0] in _PRODUCT or path.suffix in _PROGRAMS


def _row(
    name: str, what: str, kind: str, tally: Tally, size: int, *, earlier: bool
) -> tuple[str, ...]:
    """The line of one property on one store; `earlier`, when another run found it wrong."""
    tried = f"{tally.tried}" if tally.tried >= size else f"{tally.tried} of {size}, unfinished"
    tried += "; failed in an earlier run, --again tries anew" if earlier else ""
    missed = [each for each, noticed in tally.controls.items() if not noticed]
    control = f"MISSED: {', '.join(missed)}" if missed else "noticed" if tally.controls else "NONE"
    for each, number in sorted(tally.counts.items()):
        _say(f"{name} {kind}: {number:,} {each}")
    for each, value in sorted(tally.figures.items()):
        _say(f"{name} {kind}: {each}: at most {value:.3f}")
    for each in tally.lines:
        _say(f"{name} {kind}: {each}")
    for each in tally.first:
        _say(f"{name} {kind}: VIOLATION: {each}")
    return f"{name} ({kind}): {what}", tried, str(tally.violations), control, f"{tally.seconds:.0f}"


def _print(table: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
