"""A file that appears whole or not at all, and never in the place of another.

Knows nothing of what is in it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from domain.errors import Fault, InvalidRequest

_PRIVATE: Final = 0o600


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Write under another name beside it, and give it its name when all is on the disk.

    Only its owner may read it. Raises `InvalidRequest` when there is something of that name, or
    it can't be made.
    """
    check_new(path)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    except OSError as error:
        raise _refusal(path, f"can't be made ({error.strerror})") from None
    try:
        with os.fdopen(descriptor, "wb", buffering=1 << 20) as file:
            os.fchmod(descriptor, _PRIVATE)
            yield file
            file.flush()
            os.fsync(descriptor)
        _publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def check_new(path: Path) -> None:
    """Raises `InvalidRequest` when there is something of that name."""
    if os.path.lexists(path):
        raise _refusal(path, "is there already, and nothing is written over")


def _publish(draft: Path, path: Path) -> None:
    try:
        # A link never replaces what came meanwhile.
        os.link(draft, path)
    except FileExistsError:
        raise _refusal(path, "came meanwhile, and nothing is written over") from None
    except OSError:  # a file system without links
        check_new(path)
        draft.rename(path)


def _refusal(path: Path, why: str) -> InvalidRequest:
    msg = "The file can't be written."
    return InvalidRequest(msg, (Fault("/file", f"{str(path)!r} {why}. Name another one."),))
