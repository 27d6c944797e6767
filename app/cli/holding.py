"""Which process serves a SQLite database: one, for as long as it lives.

The lock file lies beside the database and stays there; the lock is the system's, and goes with
its process. Knows nothing of the database but its place.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from app.settings import SettingFault, SettingsError

_WAIT_S: Final = 0.02
_TRIES: Final = 25


def lock_path(database: Path) -> Path:
    """The lock file of a database, whatever links lead to that."""
    whole = Path(os.path.realpath(database))
    return whole.with_name(f"{whole.name}.serve")


@contextmanager
def held(database: Path | None) -> Iterator[None]:
    """Hold the database for serving; None, a server's, may be served by many.

    Raises `SettingsError` naming the process that holds it, or what is wrong with the place.
    """
    if database is None:
        yield
        return
    path = lock_path(database)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _refusal(
            f"names {str(database)!r}, beside which {path.name!r} can't be written "
            f"({error.strerror}). Make the directory, and make it writable."
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(
                f"names {str(database)!r}, which process {_pid(descriptor) or 'unknown'} serves. "
                "Stop that one, or give this one a database of its own."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(database: Path) -> str | None:
    """The process that serves a database now, None when none does."""
    try:
        descriptor = os.open(lock_path(database), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid(descriptor) or "unknown"
    else:
        return None
    finally:
        os.close(descriptor)


def _pid(descriptor: int) -> str:
    """What the holder wrote; it may have taken the lock a moment before."""
    for _ in range(_TRIES):
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        if text:
            return text
        time.sleep(_WAIT_S)
    return ""


def _refusal(problem: str) -> SettingsError:
    return SettingsError(SettingFault("GATEBOOK_DATABASE_URL", problem))
