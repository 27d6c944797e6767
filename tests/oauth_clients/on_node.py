"""Node, for the libraries that run there: where it is, and what becomes of its tests without it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import pytest

FOLDER: Final = Path(__file__).parent / "node"
"""What is run there."""
PACKAGES: Final = FOLDER / "node_modules"
OLDEST: Final = 20
UNINSTALLED: Final = "the packages of Node are not installed: `./run test` does that"
TIME_LIMIT: Final = 120.0
"""Seconds; only ever spent when a test fails."""


class Ran(NamedTuple):
    """What became of a program, and all that it printed."""

    status: int
    printed: str


def found(
    package: Path = PACKAGES / "openid-client", tried: str = "The OAuth libraries of Node were"
) -> str:
    """The path of a Node that is new enough and has the packages, of which one is looked for.

    Without one the test is skipped, and in CI it fails.
    """
    if what := lacking(package):
        if what == UNINSTALLED:
            pytest.fail(f"{tried} NOT tried: {what}.")
        lack(tried, what)
    return str(shutil.which("node"))


def lacking(package: Path) -> str:
    """What isn't here of all that a program of Node needs, of whose packages one is looked for."""
    node = shutil.which("node")
    if node is None or _version(node) < OLDEST:
        return f"there is no Node {OLDEST} or newer here"
    if not package.is_dir():
        return "there is no npm here" if shutil.which("npm") is None else UNINSTALLED
    return ""


def run(node: str, *arguments: str | Path, **environment: str) -> Ran:
    """Run it with this environment alone."""
    done = subprocess.run(
        [node, *arguments],
        env={"PATH": os.defpath, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIME_LIMIT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Ran(done.returncode, done.stdout)


def _version(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"v(\d+)\.", done.stdout)
    return int(version[1]) if version else 0


def lack(tried: str, what: str) -> NoReturn:
    """Skip, loudly; in CI fail."""
    message = f"{tried} NOT tried: {what}."
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
