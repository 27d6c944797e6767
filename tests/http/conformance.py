"""Tests that schemathesis makes of the service's own description, against a server that runs.

No 5xx, and no status, media type, header or member that the description doesn't name; what is
against it is refused, and no operation does nothing else. A test runs a few cases of each
operation, `./run prove conformance` many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import msgspec

from tests.http.conformance_hooks import ADMINISTRATOR
from tests.http.people import People
from tests.prove.described import OPERATIONS
from tests.running import running, settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ENDLESS: Final = ("/revocations/stream", "/events/stream")
"""Have tests of their own: they don't end, and so no case of them does."""
FUZZING: Final = "fuzzing"
PHASES: Final = ("examples", "coverage", FUZZING, "stateful")
"""What schemathesis can make tests of."""
BRIEF: Final = ("examples", FUZZING, "stateful")
"""The same without every bound of every schema; of six cases each operation still has a success."""
BREACHES: Final = {
    "a fault that nobody foresaw": ("Server error", "POST", "/userkey"),
    "an undescribed status": ("Undocumented status code", "DELETE", "/sessions/{session_id}"),
    "an undescribed member": ("Response violates schema", "GET", "/readyz"),
}
"""What a broken server does, and what is said of it where."""

_ROOT: Final = Path(__file__).resolve().parents[2]
_REPORT: Final = "report.json"
_DONE: Final = {(each.method, each.path) for each in OPERATIONS if each.path not in ENDLESS}
_NOT_EXPRESSIBLE: Final = "positive_data_acceptance"
"""What a name or a secret may hold is more than a schema can say: a fit one may be refused."""
_SETTINGS: Final = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]
"""
"""What refuses that against the description: as schemathesis has it, and what is too large."""
_OF_A_PAGE: Final = frozenset(
    {
        ("Allow header mismatch", "OPTIONS /register"),
        ("Wrong response to undeclared method", "GET /register"),
    }
)
"""Where a browser finds a form with GET, of which the description of the API doesn't tell."""
_TOLD: Final = 12_000


class Failure(msgspec.Struct, frozen=True):
    """What is wrong in which operations."""

    title: str
    operations: list[str]


class Counts(msgspec.Struct, frozen=True):
    """Operations, or cases."""

    selected: int = 0
    total: int = 0
    generated: int = 0


class Report(msgspec.Struct, frozen=True):
    """What schemathesis reports, as far as it is looked at."""

    exit_code: int
    operations: Counts
    test_cases: Counts
    failures: list[Failure]


class Outcome(NamedTuple):
    """What came of a run: the report, what was said besides, what never had a success."""

    report: Report
    said: str
    never: Collection[tuple[str, str]]

    def wrong(self) -> Iterator[str]:
        """Everything that must not be."""
        failed = [
            f"{each.title}: {operation}"
            for each in self.report.failures
            for operation in each.operations
            if (each.title, operation) not in _OF_A_PAGE
        ]
        yield from failed
        if self.report.exit_code and (failed or not self.report.failures):
            yield self.said[-_TOLD:]
        selected, total = self.report.operations.selected, self.report.operations.total
        if (selected, total) != (len(_DONE), len(OPERATIONS)):
            yield f"{selected} of {total} operations were tried"
        for method, path in sorted(self.never):
            yield f"nothing but refusals: {method} {path}"

    def noticed(self, breach: str) -> bool:
        """Whether that was found."""
        title, method, path = BREACHES[breach]
        wanted = f"{method} {path}"
        return any(
            each.title == title and wanted in each.operations for each in self.report.failures
        )


def run(
    database_url: str,
    max_examples: int,
    *,
    phases: Collection[str] = PHASES,
    seed: int | None = None,
) -> Outcome:
    """What schemathesis finds with so many cases an operation; the same ones without a seed."""
    which = ["--generation-deterministic"] if seed is None else ["--seed", f"{seed}"]
    options = [*which, "--max-examples", f"{max_examples}", "--phases", ",".join(phases)]
    for path in ENDLESS:
        options += ["--exclude-path", path]
    return _run(database_url, options, full={*phases} >= {*BRIEF})


def run_on_breaches(database_url: str) -> Outcome:
    """What it finds where a server does what it mustn't: the control."""
    options = ["--generation-deterministic", "--max-examples", "8", "--phases", FUZZING]
    for _, _, path in BREACHES.values():
        options += ["--include-path", path]
    return _run(database_url, options, TEST_UNFORESEEN="1", TEST_UNDESCRIBED="1")


def _run(
    database_url: str, options: Collection[str], *, full: bool = False, **breaches: str
) -> Outcome:
    # Each case comes from an address of its own, or the budgets would answer most of them.
    given = settings(database_url, TRUSTED_PROXIES="127.0.0.1", **breaches)
    with tempfile.TemporaryDirectory() as folder, running(given) as server:
        Path(folder, "schemathesis.toml").write_text(_SETTINGS, encoding="utf-8")
        here = f"http://127.0.0.1:{server.port}"
        with httpx.Client(base_url=here) as client:
            administrator = People(client, given).new("admin").user_key
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
                *("run", f"{here}/schema/openapi.json", "--url", here, *options),
                *("--checks", "all", "--exclude-checks", _NOT_EXPRESSIBLE),
                *("--continue-on-failure", "--warnings", "off", "--report-json-path", _REPORT),
            ],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(_ROOT),
                "SCHEMATHESIS_HOOKS": "tests.http.conformance_hooks",
                ADMINISTRATOR: administrator,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        report = Path(folder) / _REPORT
        assert report.exists(), f"{done.stdout}{done.stderr}"
        said = f"{server.said.decode(errors='replace')[-_TOLD:]}\n{done.stdout}{done.stderr}"
        never = _DONE - _succeeded(server.said) if full else ()
        return Outcome(msgspec.json.decode(report.read_bytes(), type=Report), said, never)


def _succeeded(said: bytes) -> set[tuple[str, str]]:
    """The operations that did what they are for at least once, by the service's log."""
    requests = [json.loads(line) for line in said.splitlines() if b'"event":"request"' in line]
    return {(each["method"], each["route"]) for each in requests if each["status"] < 300}
