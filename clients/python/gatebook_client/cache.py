"""Where tokens are kept between runs, and shared by processes: one file, locked while it changes.

The lock is the operating system's, so that it goes with whoever held it. Knows no service.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from gatebook_client.errors import CacheUnavailable, ConfigurationError
from gatebook_client.kept import Kept
from gatebook_client.private_file import MODE, make_private_folder, read_private, write_private
from gatebook_client.wire import check_seconds

LOCK_SECONDS: Final = 30.0
"""How long a process waits for another one that is renewing the tokens."""
_LOOK_EVERY: Final = 0.01
_locks: set[int] = set()
"""The descriptors of the lock files that this process has open."""


class FileCache:
    """Keeps tokens as member `tokens` of a JSON object in a file of mode 0600.

    A folder (or a path that ends with a slash) holds a file for each service and user. Other
    members of the file are left as they are; a `profile`, which is nothing without them, is written
    only where it is.
    """

    def __init__(
        self, path: Path | str, *, lock_seconds: float = LOCK_SECONDS, profile: bool = False
    ) -> None:
        check_seconds(lock_seconds=lock_seconds)
        self._slash = str(path).endswith(("/", os.sep))
        self._path = Path(path)
        self._lock_seconds = lock_seconds
        self._profile = profile

    def __repr__(self) -> str:
        """Say where."""
        return f"FileCache({str(self._path)!r})"

    @property
    def path(self) -> Path:
        """The file, or the folder."""
        return self._path

    def of(self, url: str, identity: str) -> FileCache:
        """The file of one user at one service: itself, unless it is a folder."""
        if not self._slash and not self._path.is_dir():
            return self
        name = hashlib.sha256(f"{url}\0{identity}".encode()).hexdigest()[:32]
        return FileCache(self._path / f"{name}.json", lock_seconds=self._lock_seconds)

    def stamp(self) -> tuple[int, ...] | None:
        """Another one whenever it was written, or may be read by others than before."""
        try:
            found = self._path.lstat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size

    def read(self) -> Kept:
        """What is kept; nothing when the file isn't there or isn't ours.

        Raises ConfigurationError when others may read it.
        """
        try:
            return msgspec.convert(self._members().get("tokens", {}), Kept)
        except msgspec.ValidationError:
            return Kept()

    def write(self, kept: Kept) -> None:
        """Keep it, on the disk; raises CacheUnavailable."""
        if self._profile and not self._path.exists():
            raise CacheUnavailable(f"The profile {self._path} is gone.")
        try:
            members = {**self._members(), "tokens": msgspec.to_builtins(kept)}
            content = msgspec.json.format(msgspec.json.encode(members), indent=2)
            write_private(self._path, content + b"\n")
        except OSError as error:
            raise CacheUnavailable(f"{self._path} can't be written: {error.strerror}.") from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes it meanwhile; raises CacheUnavailable when that takes too long."""
        path = self._path.with_name(self._path.name + ".lock")
        try:
            make_private_folder(path.parent)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), MODE)
        except OSError as error:
            raise CacheUnavailable(f"{self._path} can't be locked: {error.strerror}.") from None
        process = os.getpid()
        _locks.add(descriptor)
        try:
            until = time.monotonic() + self._lock_seconds
            while not _lock(descriptor):
                if time.monotonic() > until:
                    raise CacheUnavailable(
                        f"{self._path} has been locked by another process for "
                        f"{self._lock_seconds:.0f} s."
                    )
                time.sleep(_LOOK_EVERY)
            try:
                yield
            finally:
                if os.getpid() == process:
                    # Closing it isn't enough, where a forked process has got it, too.
                    _unlock(descriptor)
        finally:
            if os.getpid() == process:
                _locks.discard(descriptor)
                os.close(descriptor)

    def _members(self) -> dict[str, object]:
        try:
            found = msgspec.json.decode(read_private(self._path) or b"{}")
        except msgspec.DecodeError:
            return {}
        return found if isinstance(found, dict) else {}


def cache_of(given: FileCache | Path | str | None) -> FileCache | None:
    """A cache as it may be given: itself, the path of a file or folder, or none."""
    if given is None or isinstance(given, FileCache):
        return given
    if not str(given):
        raise ConfigurationError("The cache has an empty path.")
    return FileCache(given)


def _lock(descriptor: int) -> bool:
    """Whether the file is locked now; unlocked when its process is gone, too."""
    try:
        import fcntl  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return _lock_windows(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(descriptor: int) -> None:
    try:
        import fcntl  # noqa: PLC0415
    except ImportError:
        msvcrt = __import__("msvcrt")
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock_windows(descriptor: int) -> bool:
    msvcrt = __import__("msvcrt")
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def _close_locks() -> None:
    """In a forked process: what is locked is the other one's, and must end with that."""
    for descriptor in _locks:
        with suppress(OSError):
            os.close(descriptor)
    _locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_locks)
