"""Tests that schemathesis makes of the service's own description, against a server that runs.

No 5xx, and no status, media type, header or member that the description doesn't name; what is
against it is refused. `run(500)` looks longer than a test may.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.running import running, settings

_ROOT: Final = Path(__file__).resolve().parents[2]
_NOT_EXPRESSIBLE: Final = "positive_data_acceptance"
"""What a name or a secret may hold is more than a schema can say: a fit one may be refused."""


def run(max_examples: int, database_url: str | None = None) -> str:
    """What schemathesis said of `max_examples` cases an operation; AssertionError on a failure."""
    with tempfile.TemporaryDirectory() as folder:
        url = database_url or f"sqlite:///{folder}/gatebook.db"
        # Each case comes from an address of its own, or the budgets would answer most of them.
        with running(settings(url, TRUSTED_PROXIES="127.0.0.1")) as server:
            here = f"http://127.0.0.1:{server.port}"
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "schemathesis.cli", "--no-color"),
                    *("run", f"{here}/schema/openapi.json", "--url", here),
                    *("--checks", "all", "--exclude-checks", _NOT_EXPRESSIBLE),
                    *("--max-examples", str(max_examples), "--generation-deterministic"),
                    *("--continue-on-failure", "--warnings", "off"),
                ],
                cwd=folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(_ROOT),
                    "SCHEMATHESIS_HOOKS": "tests.http.conformance_hooks",
                },
                capture_output=True,
                text=True,
                check=False,
            )
            said = done.stdout + done.stderr
            assert done.returncode == 0, f"{said}\n{server.said.decode(errors='replace')[-20_000:]}"
    assert "12 selected / 12 total" in said, said
    return said
