"""`gatebook demo`, as somebody meets it who has nothing set up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import PATIENCE_S, ROOT

# The demo needs no settings, and keeps clear of those that there are.
SETTINGS = {"GATEBOOK_DATABASE_URL": "sqlite:////nowhere/gatebook.db", "GATEBOOK_NONSENSE": "1"}


def start(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo"],
        env={**os.environ, **SETTINGS, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_shows_each_request_and_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path)
    shown, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert re.findall(r"^> ([A-Z]+ /\w+)|^< (\d+)", shown, re.MULTILINE) == [
        *[("POST /register", ""), ("", "201")],
        *[("POST /authenticate", ""), ("", "200")],
        *[("GET /me", ""), ("", "200")],
        *[("POST /refresh", ""), ("", "200")],
        *[("POST /revoke", ""), ("", "200")],
        *[("POST /refresh", ""), ("", "401")],
    ]
    assert '"reason": "revoked"' in " ".join(shown.split())
    log = shown.partition("The log that came of it")[2]
    assert re.findall(r"^\d+ +\S+ +(\S+)", log, re.MULTILINE) == [
        "log.opened",
        "signing_key.added",
        "signing_key.activated",
        "user.registered",
        "user.logged_in",
        "refresh_token.issued",
        "refresh_token.used",
        "refresh_token.revoked",
    ]
    assert max(map(len, shown.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.stderr.readline()  # it runs
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
