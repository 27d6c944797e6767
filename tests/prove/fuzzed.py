"""Readers of strangers' words, fuzzed by what they reach: a refusal or one meaning, nothing else.

Access tokens, at the service and in the Python client; refresh tokens; stored events; names;
secrets; settings. By atheris, which `./run prove` installs where there is one for this Python, with
a corpus that is kept from run to run; without it nothing is tried but the short form, which is by a
fuzzer of the tests' own. Security rules 4, 5, 8 and 13. The control: a reader whose fault is four
steps away.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.prove.fuzz_targets import PLANTED, TARGETS
from tests.prove.mutation import Fuzzed, fuzz
from tests.prove.tally import Tally, Untried

PROPERTY: Final = "fuzzed readers of tokens, events, names, secrets and settings only ever refuse"
SIZE: Final = 200_000
OF: Final = "runs of each target"
STEP: Final = 20_000
SHORT: Final = 300
STORES: Final = ("sqlite",)
FUZZER: Final = Path(sys.prefix) / "fuzzer"
"""Where atheris is, if it is."""
ENOUGH: Final = 100_000
"""Runs in which most seeds find the planted fault; some go astray, however long they run."""
SEEDS: Final = 8
"""After which it would have been found."""

_ROOT: Final = Path(__file__).parents[2]
_CORPORA: Final = _ROOT / ".prove" / "corpora"
_RUNS: Final = re.compile(r"number_of_executed_units: (\d+)")
_COVERED: Final = re.compile(r"cov: (\d+)")
_TOLD: Final = 3_000


def prove(url: str, count: int) -> Tally:
    """Run each target `count` times; no store is needed. Raises `Untried` without atheris."""
    del url
    tally, seed = Tally(tried=count), secrets.randbits(31)
    by_atheris = count != SHORT
    if by_atheris and not FUZZER.is_dir():
        raise Untried("there is no atheris for this Python")
    fuzzer = "atheris" if by_atheris else "our own fuzzer"
    for name, target in TARGETS.items():
        if by_atheris:
            corpus = _CORPORA / name.replace(" ", "_")
            found = _by_atheris(name, count, seed, corpus)
        else:
            found = fuzz(target, count, random.Random(seed))
        tally.expect(not found.fault, f"seed {seed}, {name}: {found.fault}")
        tally.expect(found.runs >= count, f"{name}: {found.runs} runs, of {count}")
        tally.expect(found.covered > 1, f"{name}: no code was reached")
        tally.count(f"runs by {fuzzer}", found.runs)
        tally.figure(f"places reached by {fuzzer}: {name}", found.covered)
    noticed = any(_is_found(seed + each, by_atheris=by_atheris) for each in range(SEEDS))
    tally.control(f"a fault four steps away, by {fuzzer}", noticed=noticed)
    return tally


def _is_found(seed: int, *, by_atheris: bool) -> bool:
    """The control: whether the planted fault is, with this seed."""
    if by_atheris:
        with tempfile.TemporaryDirectory(prefix="gatebook-prove-") as place:
            planted = _by_atheris("planted", ENOUGH, seed, Path(place))
    else:
        planted = fuzz(PLANTED, ENOUGH, random.Random(seed))
    return "Planted" in planted.fault


def _by_atheris(name: str, runs: int, seed: int, corpus: Path) -> Fuzzed:
    """In a process of its own, which libFuzzer ends."""
    corpus.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.prove.fuzz_atheris", name, f"{runs}", f"{seed}", corpus],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": f"{FUZZER}{os.pathsep}{_ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    ran, covered = _RUNS.findall(said), _COVERED.findall(said)
    fault = "" if done.returncode == 0 and ran else said[-_TOLD:]
    return Fuzzed(int(ran[-1]) if ran else 0, max(map(int, covered), default=0), fault)
