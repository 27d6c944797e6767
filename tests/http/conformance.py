"""Tests that schemathesis makes of the service's own description, against a server that runs.

No 5xx, and no status, media type, header or member that the description doesn't name; what is
against it is refused, and no operation does nothing else. `run(500)` looks longer than a test may.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import httpx

from tests.http.conformance_hooks import ADMINISTRATOR
from tests.http.people import People
from tests.running import running, settings

_ROOT: Final = Path(__file__).resolve().parents[2]
_DESCRIPTION: Final = json.loads(
    (_ROOT / "tests" / "golden" / "openapi.json").read_text(encoding="utf-8")
)
ENDLESS: Final = "/revocations/stream"
"""Has tests of its own: it doesn't end, and so no case of it does."""
OPERATIONS: Final = {
    (method.upper(), path)
    for path, each in _DESCRIPTION["paths"].items()
    if path != ENDLESS
    for method in each
}
_NOT_EXPRESSIBLE: Final = "positive_data_acceptance"
"""What a name or a secret may hold is more than a schema can say: a fit one may be refused."""


def run(max_examples: int, database_url: str | None = None) -> str:
    """What schemathesis said of `max_examples` cases an operation; AssertionError on a failure."""
    with tempfile.TemporaryDirectory() as folder:
        url = database_url or f"sqlite:///{folder}/gatebook.db"
        # Each case comes from an address of its own, or the budgets would answer most of them.
        given = settings(url, TRUSTED_PROXIES="127.0.0.1")
        with running(given) as server:
            here = f"http://127.0.0.1:{server.port}"
            with httpx.Client(base_url=here) as client:
                administrator = People(client, given).new("admin").user_key
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
                    *("run", f"{here}/schema/openapi.json", "--url", here),
                    *("--exclude-path", ENDLESS),
                    *("--checks", "all", "--exclude-checks", _NOT_EXPRESSIBLE),
                    *("--max-examples", str(max_examples), "--generation-deterministic"),
                    *("--continue-on-failure", "--warnings", "off"),
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
            said = done.stdout + done.stderr
            assert done.returncode == 0, f"{said}\n{server.said.decode(errors='replace')[-20_000:]}"
            never = OPERATIONS - _succeeded(server.said)
    assert f"{len(OPERATIONS)} selected / {len(OPERATIONS) + 1} total" in said, said
    assert not never, f"nothing but refusals of {sorted(never)}"
    return said


def _succeeded(said: bytes) -> set[tuple[str, str]]:
    """The operations that did what they are for at least once, by the service's log."""
    requests = [json.loads(line) for line in said.splitlines() if b'"event":"request"' in line]
    return {(each["method"], each["route"]) for each in requests if each["status"] < 300}
