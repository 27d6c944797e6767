"""Servers under measurement: each a process of its own, its talk in a file, and gone at the end.

What they log goes to a file and not through a pipe: a reader of ours would take processor time
from what is measured. Knows nothing of what is asked of them.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent.parent
SERVICE: Final = ("-m", "app.cli", "serve")
EMPTY: Final = ("-m", "tests.benchmarks.empty")
CHEAP: Final = {"GATEBOOK_HASH_MEMORY_KIB": "8", "GATEBOOK_HASH_TIME": "1"}
"""Where hashing is no part of what is measured."""

_SERVING: Final = re.compile(rb'"url":"http://127\.0\.0\.1:([0-9]+)".*"event":"serving"')
_START_S: Final = 60.0
_STOP_S: Final = 15.0
_LOOK_S: Final = 0.02
_SAID_LAST: Final = 2_000
"""Bytes of a log that a note holds."""


class Served(NamedTuple):
    """A server that serves."""

    port: int
    pid: int


def settings(database_url: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The service's environment: its defaults, on a free port, any number of registrations."""
    return {
        "GATEBOOK_DATABASE_URL": database_url,
        "GATEBOOK_PORT": "0",
        "GATEBOOK_ISSUER": "http://127.0.0.1",
        "GATEBOOK_MASTER_KEY": base64.b64encode(bytes(range(32))).decode(),
        "GATEBOOK_REGISTRATIONS_PER_HOUR": "0",
        "GATEBOOK_LOG_FORMAT": "json",
        **(more or {}),
    }


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a process is told: ours, without settings of whoever runs the benchmark."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GATEBOOK_")}
    return {**ours, **given}


@contextmanager
def serving(arguments: Sequence[str], given: Mapping[str, str], log: Path) -> Iterator[Served]:
    """A Python program that serves and says so in its log; told to stop at the end.

    Raises RuntimeError when it doesn't start. Whatever goes wrong while it serves is given a note
    of what it said last.
    """
    with log.open("wb") as talk:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(given),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=talk,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Served(_port(process, log), process.pid)
    except Exception as error:
        error.add_note(f"{' '.join(arguments)} said last:\n{_said_last(log)}")
        raise
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        ended = process.poll() is not None
        if found := _SERVING.search(log.read_bytes()):
            return int(found[1])
        if ended:
            break
        time.sleep(_LOOK_S)
    raise RuntimeError("the server did not start")


def _said_last(log: Path) -> str:
    with log.open("rb") as talk:
        talk.seek(max(0, log.stat().st_size - _SAID_LAST))
        return talk.read().decode(errors="replace")
