"""Where a benchmark ran: the machine, how busy it was, and the versions of all that is measured.

Knows nothing of the benchmarks.
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.backends.openssl import backend

_PACKAGES: Final = (
    "litestar",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "cryptography",
    "argon2-cffi",
    "argon2-cffi-bindings",
    "psycopg",
)
_ROOT: Final = Path(__file__).parents[2]
_BUSY: Final = 0.25
"""Of the cores, by the load average of the last minute."""


class Machine(msgspec.Struct, frozen=True):
    """What figures depend on; `load_average` is over 1, 5 and 15 minutes before the start."""

    cpu: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    load_average: tuple[float, float, float]
    files: str = ""
    """The file system of new stores; empty where it isn't known, and in files from before that."""

    @property
    def busy(self) -> bool:
        """Whether it did so much before the start that figures will be noisy."""
        return self.load_average[0] > _BUSY * self.cores

    def lines(self) -> list[str]:
        """Say it, with a warning on a busy machine."""
        load = " ".join(f"{each:.2f}" for each in self.load_average)
        lines = [
            f"machine   {self.cpu}, {self.cores} cores, {self.system}",
            f"files     {self.files or 'not known'}",
            f"python    {self.python}",
            "versions  " + ", ".join(f"{name} {each}" for name, each in self.versions.items()),
            f"load      {load} at the start (average over 1, 5 and 15 minutes)",
        ]
        if self.busy:
            lines.append("WARNING   The machine is busy: every figure is noisy, the ratios least.")
        return lines


def look_round() -> Machine:
    """Describe this machine as it is now."""
    return Machine(
        cpu=cpu_model(_read("/proc/cpuinfo")) or platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        system=platform.platform(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions={
            **{name: version(name) for name in _PACKAGES},
            "SQLite": sqlite3.sqlite_version,
            "OpenSSL": backend.openssl_version_text().split()[1],
        },
        load_average=os.getloadavg(),
        files=file_system(Path(tempfile.gettempdir()).resolve(), _read("/proc/mounts")),
    )


def file_system(folder: Path, mounts: str) -> str:
    """What kind a folder is on, by /proc/mounts; empty when it isn't told there."""
    found = [each.split() for each in mounts.splitlines()]
    over = [(place, kind) for _, place, kind, *_ in found if folder.is_relative_to(place)]
    # Of two at one place the later one hides the other.
    return max(reversed(over), key=lambda each: len(each[0]), default=("", ""))[1]


def commit(root: Path = _ROOT) -> str:
    """The commit that is checked out, short, with `+` where more than the documentation changed.

    Empty where there is no git, or no repository.
    """
    try:
        found = _git(root, "rev-parse", "--short", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", ".", ":!docs")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{found}+" if changed else found


def _git(root: Path, *arguments: str) -> str:
    # A repository that holds this folder by chance is not asked.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)}
    asked = ["git", "-C", str(root), *arguments]
    done = subprocess.run(asked, env=environment, capture_output=True, check=True, text=True)
    return done.stdout.strip()


def cpu_model(cpuinfo: str) -> str:
    """Find the processor's name in /proc/cpuinfo; empty when it isn't told there."""
    found = re.search(r"^model name\s*: *(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
