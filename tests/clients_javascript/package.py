"""The JavaScript client's package: built when its source has changed, its programs run on Node.

Knows nothing of what the client does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.oauth_clients import on_node

FOLDER: Final = Path(__file__).parents[2] / "clients" / "javascript"
PROGRAMS: Final = FOLDER / "test" / "programs"
CHROMIUM: Final = Path("/usr/bin/chromium")
"""The browser that pages are tried in: Debian's."""
_ONE_OF_ITS: Final = FOLDER / "node_modules" / "vitest"
TIME_LIMIT: Final = 300.0
"""Seconds; only ever spent when a test fails."""
_BUILT_OF: Final = ("src/**/*.ts", "package.json", "package-lock.json", "tsdown.config.ts")


def found() -> str:
    """The path of a Node that has the package's tools; without one the test is skipped."""
    return on_node.found(_ONE_OF_ITS, "The JavaScript client was")


def lacking() -> str:
    """What isn't here of all that it takes to build and to run it; the empty text when all is."""
    return on_node.lacking(_ONE_OF_ITS)


def built() -> str:
    """The same, once the package is built of its source as it is now."""
    node = found()
    digest = hashlib.sha256()
    for path in sorted(path for each in _BUILT_OF for path in FOLDER.glob(each)):
        digest.update(path.read_bytes())
    stamp = FOLDER / "node_modules" / ".built"
    made = FOLDER / "dist" / "index.js"
    with (FOLDER / "package.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = stamp.read_text(encoding="utf-8") if stamp.is_file() and made.is_file() else ""
        if known != digest.hexdigest():
            done = run("npm", "run", "build")
            if done.status:
                message = f"the client can't be built:\n{done.printed}"
                raise RuntimeError(message)
            stamp.write_text(digest.hexdigest(), encoding="utf-8")
    return node


def environment() -> dict[str, str]:
    """What its programs are told: the Python that runs services, and nothing of Gatebook's."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("GATEBOOK_")}
    return {**given, "GATEBOOK_TEST_PYTHON": sys.executable, "NO_COLOR": "1"}


def run(*arguments: str) -> on_node.Ran:
    """Run it there, and keep all that it prints."""
    done = subprocess.run(
        arguments,
        cwd=FOLDER,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIME_LIMIT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return on_node.Ran(done.returncode, done.stdout)
