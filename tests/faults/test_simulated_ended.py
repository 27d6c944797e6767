"""Whoever ends the long simulation ends all of its processes, however often they say so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest

from tests.prove.sources import ROOT
from tests.waiting import LONGEST, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORES: Final = "gatebook-prove-*"
PROGRAM: Final = """\
import signal
import sys
from pathlib import Path
from tests.prove import __main__ as program
from tests.prove import simulated

def interrupt(number, frame):
    print("interrupted", flush=True)
    raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupt)
simulated.SIZE = simulated.STEP = 10**9
program.KEPT = Path(sys.argv.pop(1))
sys.argv[1:] = ["simulated"]
sys.exit(program.main())
"""
"""As `python -m tests.prove simulated`, but it says when it heard, and a round takes days."""


def alive(group: int) -> bool:
    """Whether there is any process of it."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def simulating(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program, every process of it at work."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder / "kept")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # A run has a folder of its own in that of the store.
        cores = os.cpu_count() or 1
        until(lambda: [*folder.glob(f"{STORES}/*/")], lambda runs: len(runs) >= cores)
        yield process
        process.communicate(timeout=LONGEST)
        assert process.returncode != 0
        until(lambda: not alive(process.pid))
    finally:
        if alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("also", ["program", pytest.param("group", marks=pytest.mark.long)])
def test_who_is_interrupted_twice_waits_for_nobody(tmp_path: Path, also: str) -> None:
    """The second time while it leaves; with all of its processes, as by `timeout`."""
    with simulating(tmp_path) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == b"interrupted\n"
        (os.killpg if also == "group" else os.kill)(process.pid, signal.SIGINT)


@pytest.mark.long
def test_who_is_ended_leaves_nothing_behind(tmp_path: Path) -> None:
    """But the table of what there was."""
    with simulating(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert b"| 0 of 1000000000, unfinished |" in process.stdout.read()
    assert [*tmp_path.glob(STORES)] == []
