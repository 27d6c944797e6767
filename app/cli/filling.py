"""How commands make a store of files, and what they say of it and of the files.

Knows no command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from app import logs, master_key
from app.archive.importing import Imported, Place, header_of
from app.archive.lines import End
from app.archive.restoring import Ending
from app.bootstrap import open_vault
from app.cli import output
from app.cli.access import check_release, closing_storage, makes_key, read_settings
from app.cli.progress import Advance, progress
from app.settings import SettingFault, SettingsError
from app.timestamps import rfc3339


@contextmanager
def empty_place() -> Iterator[Place]:
    """The database of this environment's settings, and the master key that is there.

    Raises `SettingsError`: a new master key would open nothing.
    """
    settings = read_settings().settings
    logs.configure("console")
    check_release(settings)
    if makes_key(settings):
        problem = (
            f"is not set, and there is no {str(master_key.key_path(settings))!r}. Give the key "
            "under which the file's keys are wrapped: the one of the store that it came from."
        )
        raise SettingsError(SettingFault("GATEBOOK_MASTER_KEY", problem))
    vault = open_vault(settings)
    with closing_storage(settings.database_url) as storage:
        yield Place(storage, vault, settings)


class Working(NamedTuple):
    """What is told how far it is: of the file's records, then of those whose sessions end."""

    reading: Advance
    ending: Ending


@contextmanager
def working(file: Path, *, backup: bool) -> Iterator[Working]:
    """Progress through a file, and then through what follows from it."""
    with ExitStack() as stack:

        @contextmanager
        def ending(total: int) -> Iterator[Advance]:
            stack.close()  # a terminal has one bar at a time
            with progress("Ending sessions", total) as advance:
                yield advance

        head = header_of(file, backup=backup).head
        yield Working(stack.enter_context(progress("Reading", head)), ending)


def tell_written(end: End, what: str) -> None:
    """Say what a file holds, and how it is to be proved again."""
    if end.mac is None:
        output.talk(
            "There was no master key to seal the file with: whoever makes a store of it has to "
            "give this root to --expect."
        )
    output.talk(f"{what}: {end.records}. Note the root:\n{end.records}:{end.root}")


def tell(imported: Imported) -> None:
    """Say what there is now."""
    filled, restored = imported
    output.talk(
        f"Events: {filled.position}, the last one of {rfc3339(filled.time)}. Their root:\n"
        f"{filled.position}:{filled.root}"
    )
    if restored is not None:
        output.talk(
            f"The log goes on as {restored.log_id}. Sessions ended: {restored.sessions}. "
            "A new signing key signs, and what others signed is refused."
        )
