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


def start(tmp_path: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "demo"],
        env={**os.environ, **SETTINGS, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT), **more},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_shows_each_request_and_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, COLUMNS="100")
    shown, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    asked = re.findall(r"^> ([A-Z]+ /\w+)|^< (\d+)", shown, re.MULTILINE)
    assert [(one[0], other[1]) for one, other in zip(asked[::2], asked[1::2], strict=True)] == [
        ("POST /register", "201"),
        ("POST /authenticate", "200"),
        ("GET /me", "200"),
        ("POST /refresh", "200"),
        ("POST /refresh", "200"),
        ("POST /refresh", "200"),
        ("POST /refresh", "200"),
        ("POST /refresh", "401"),
        ("POST /refresh", "401"),
        ("POST /authenticate", "200"),
        ("POST /revoke", "200"),
        ("GET /me", "401"),
    ]
    story, _, log = shown.partition("The log that came of it")
    assert re.findall(r'"reason":\s+"(\w+)"', story) == ["reused", "reused", "revoked"]
    tokens = re.findall(r"\bgbr_\w+", story)
    assert {len(each) for each in tokens} == {36}
    generations = re.findall(r"< \S+ \S+\s+\"refresh_token\":\s+\"gbr_\w{22}(\d{6})", story)
    assert generations == ["000001", "000002", "000002", "000003", "000001"]
    assert re.findall(r"^\d+ +\S+ +(\S+)", log, re.MULTILINE) == [
        "log.opened",
        "signing_key.added",
        "signing_key.activated",
        "user.registered",
        "user.logged_in",
        "refresh_token.issued",
        "refresh_token.used",
        "refresh_token.rotated",
        "refresh_token.rotated",
        "refresh_token.reuse_detected",
        "refresh_token.revoked",
        "user.logged_in",
        "refresh_token.issued",
        "refresh_token.revoked",
    ]
    assert 80 < max(map(len, shown.splitlines())) < 100
    assert list(tmp_path.iterdir()) == []


def test_a_demo_that_is_told_to_stop_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path)
    process.stderr.readline()  # it runs
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert list(tmp_path.iterdir()) == []
