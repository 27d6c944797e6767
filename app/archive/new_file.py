"""A file that appears whole or not at all, and never in the place of another.

Until then it has a hidden name, and a lock that its writer holds: what nobody holds was left by
one that was killed. Knows nothing of what is in it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from domain.errors import Fault, InvalidRequest

_PRIVATE: Final = 0o600
_MARK: Final = 8
"""Random bytes in a hidden name."""
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a disk says that is full, or fails."""


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write under another name beside it, and give it its name when all is on the disk.

    Only its owner may read it. What killed writers of the same name left is removed. Raises
    `InvalidRequest` when there is something of that name, it can't be made, or the disk is full.
    """
    check_new(path)
    _remove_left(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(_MARK)}")
    try:  # from before it is there: an interrupt comes between any two steps
        descriptor = _made(draft, path)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
            os.fchmod(descriptor, _PRIVATE)
            yield file
            file.flush()
            os.fsync(descriptor)
        _publish(draft, path)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise _refusal(path, f"can't be written to its end ({error.strerror})") from None
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _made(draft: Path, path: Path) -> int:
    try:
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except OSError as error:
        raise _refusal(path, f"can't be made ({error.strerror})") from None


def check_new(path: Path) -> None:
    """Raises `InvalidRequest` when there is something of that name."""
    if os.path.lexists(path):
        raise _refusal(path, "is there already, and nothing is written over")


def _remove_left(path: Path) -> None:
    """Remove what was begun under this name, and nobody writes any more."""
    hidden = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{{2 * _MARK}}}")
    with suppress(OSError):
        for each in path.parent.iterdir():
            if hidden.fullmatch(each.name):
                _remove_unheld(each)


def _remove_unheld(draft: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(draft, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.unlink()
        finally:
            os.close(descriptor)


def _publish(draft: Path, path: Path) -> None:
    try:
        # A link never replaces what came meanwhile.
        os.link(draft, path)
    except FileExistsError:
        raise _refusal(path, "came meanwhile, and nothing is written over") from None
    except FileNotFoundError:
        raise _refusal(path, "can't be written: its hidden file was removed meanwhile") from None
    except OSError:  # a file system without links
        check_new(path)
        draft.rename(path)


def _refusal(path: Path, why: str) -> InvalidRequest:
    msg = "The file can't be written."
    return InvalidRequest(msg, (Fault("/file", f"{str(path)!r} {why}. Name another one."),))
