"""Where the master key comes from: a setting, or a file beside the database that is made once.

Knows nothing of what the key wraps. Whether it is the right one for a store, the store's own
canary tells.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from app.settings import KEY_BYTES, MAKE_A_KEY, SettingFault, SettingsError, parse_key

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings import Settings

_NAME = "GATEBOOK_MASTER_KEY"
_READ_LIMIT = 1_024


def obtain(settings: Settings) -> tuple[bytes, bytes | None]:
    """Return the master key (32 bytes) and, while it is being changed, the other that may be met.

    Call it before the store is opened. On a loopback address with SQLite a key that is not set is
    made once and kept in `key_path`. Raises SettingsError where none is set otherwise, where the
    file can be read by others, and where a database is there but its key file is gone.
    """
    if settings.master_key is not None:
        return settings.master_key, settings.master_key_previous
    path = key_path(settings)
    if settings.sqlite_path is not None and settings.sqlite_path.is_dir():
        fault = SettingFault("GATEBOOK_DATABASE_URL", "names a directory. Name a file in it.")
        raise SettingsError(fault)
    if path is None:
        raise _refusal(
            "is not set, and is made by itself only on a loopback address with SQLite. "
            f"{MAKE_A_KEY} Keep it in a safe place: without it the store can't be read."
        )
    try:
        try:
            return _read(path), None
        except FileNotFoundError:
            _make(settings, path)
            return _read(path), None
    except OSError as error:
        raise _refusal(
            f"is not set, and its file {str(path)!r} can't be used ({error.strerror}). Make its "
            "directory writable, or set the variable."
        ) from None


def key_path(settings: Settings) -> Path | None:
    """Where the key is kept when none is set; None where one must be set."""
    database = settings.sqlite_path
    if database is None or not settings.on_loopback:
        return None
    return database.with_name(f"{database.name}.key")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        # Asked of the open file, not of its name: nobody can exchange it in between.
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise _refusal(
                f"is kept in {str(path)!r}, which others can reach (mode {mode:04o}). "
                f"Run `chmod 600 {path}`; if others may have read it, change the key."
            )
        content = file.read(_READ_LIMIT)
    try:
        return parse_key(content.decode("ascii"))
    except ValueError:
        raise _refusal(
            f"is kept in {str(path)!r}, which holds no key of {KEY_BYTES} bytes in base64. "
            "Restore the file from a copy, or set the variable."
        ) from None


def _make(settings: Settings, path: Path) -> None:
    """Make the key file, whole or not at all; when another process was first, keep its key."""
    database = settings.sqlite_path
    lost = database is not None and database.exists() and database.stat().st_size > 0
    # Asked in this order: whoever made the database a moment ago had made the key before.
    if lost and not path.exists():
        raise _refusal(
            f"is not set, and {str(path)!r} is gone while its database is there: a new key "
            "couldn't read it. Restore the file, or set the variable to the key."
        )
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            # A link appears at once with its content, and never replaces what is there.
            os.link(draft, path)
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _refusal(problem: str) -> SettingsError:
    return SettingsError(SettingFault(_NAME, problem))
