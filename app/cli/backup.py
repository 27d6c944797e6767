"""`gatebook backup`: everything that a store can be made of again, in one file."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from app import logs
from app.archive.new_file import check_new, new_file
from app.archive.writing import back_up
from app.cli.access import log_key, read_settings, stored
from app.cli.filling import tell_written
from app.cli.progress import progress
from app.eventstore.log import LENGTH


@click.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Write the log and its keys to FILE, while the service runs.

    One moment of the store, which `restore` brings back in a database of either kind. Keys stay
    wrapped: the master key isn't in it, so keep that elsewhere; where it is set it seals the file,
    and otherwise the noted root is needed again. Whoever is erased later is still in it: keep it
    no longer than you may. Nothing is written over.
    """
    logs.configure("console")
    check_new(file)
    settings = read_settings().settings
    with stored(settings) as storage, storage.snapshot() as rows:
        key = log_key(rows, settings)
        ((total,),) = rows.fetch(LENGTH)
        with new_file(file) as out, progress("Writing", int(total or 0)) as advance:
            end = back_up(rows, out, advance, key)
    tell_written(end, "Events")
