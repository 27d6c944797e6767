"""Files that hold secrets: for their owner alone, replaced whole, on the disk when written.

Knows nothing of what is in them.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from gatebook_client.errors import ConfigurationError

MODE: Final = 0o600
MAX_BYTES: Final = 1 << 20
_OTHERS: Final = 0o077
_POSIX: Final = os.name == "posix"


def read_private(path: Path) -> bytes | None:
    """What a file holds; None when it isn't there.

    Raises ConfigurationError when somebody else may read or change it, or it is no plain file.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(f"{path} is no plain file.")
        if _POSIX and found.st_mode & _OTHERS:
            mode = stat.S_IMODE(found.st_mode)
            raise ConfigurationError(
                f"{path} has mode {mode:04o}, and others could read its secrets: chmod 600 {path}"
            )
        if _POSIX and found.st_uid not in {os.geteuid(), 0}:
            raise ConfigurationError(f"{path} belongs to somebody else.")
        return file.read(MAX_BYTES)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one of mode 0600; whoever reads meanwhile sees the old or the new.

    Once it returns, the new one is on the disk. Raises OSError.
    """
    make_private_folder(path.parent)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    _sync_folder(path.parent)


def make_private_folder(path: Path) -> None:
    """Make it for its owner alone; one that is there stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _sync_folder(path: Path) -> None:
    if not _POSIX:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
