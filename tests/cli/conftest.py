"""Running commands: in this process, or as a program of its own."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pytest
import structlog
from click.testing import CliRunner, Result

from app.cli import cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT: Final = Path(__file__).parents[2]
MASTER_KEY: Final = base64.b64encode(bytes(range(32))).decode()
SECRET: Final = "canary-secret-of-ada"
CHEAP: Final = {"GATEBOOK_HASH_MEMORY_KIB": "8", "GATEBOOK_HASH_TIME": "1"}
PATIENCE_S: Final = 60  # only ever spent when a test fails


class Gatebook(Protocol):
    """Runs a command; keyword arguments are settings without their prefix."""

    def __call__(self, *args: str, stdin: str | bytes = "", **settings: str | None) -> Result: ...


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What a command does to the logs of its process ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """A store that isn't there yet: of each kind, unless a test says of which."""
    return {"GATEBOOK_DATABASE_URL": database_url, "GATEBOOK_MASTER_KEY": MASTER_KEY, **CHEAP}


@pytest.fixture
def gatebook(environment: dict[str, str]) -> Gatebook:
    def run(*args: str, stdin: str | bytes = "", **settings: str | None) -> Result:
        given = {f"GATEBOOK_{name}": value for name, value in settings.items()}
        result = CliRunner().invoke(cli, args, input=stdin, env={**environment, **given})
        # An exception that isn't an exit is a traceback, which nobody may ever see.
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result

    return run


@contextmanager
def heeded() -> Iterator[None]:
    """What is started meanwhile heeds the signals that whoever runs the tests has ignored."""
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ignored = [each for each in ends if signal.getsignal(each) is signal.SIG_IGN]
    for each in ignored:
        signal.signal(each, signal.SIG_DFL)
    try:
        yield
    finally:
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)


@pytest.fixture
def program(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the program itself; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*args: str, **settings: str | None) -> subprocess.Popen[str]:
        given = {f"GATEBOOK_{name}": value for name, value in settings.items()}
        whole = {**os.environ, **environment, **given}
        with heeded():
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", *args],
                env={name: value for name, value in whole.items() if value is not None},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def items(result: Result) -> list[dict[str, Any]]:
    """The JSON objects of an answer, one a line."""
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def serving(process: subprocess.Popen[str]) -> tuple[str, list[dict[str, Any]]]:
    """The URL of a service that was started, and what it said before."""
    said: list[dict[str, Any]] = []
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "serving":
            return entry["url"], said
        said.append(entry)
    message = f"it did not serve: {said}"
    raise AssertionError(message)
