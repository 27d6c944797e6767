"""`gatebook audit export`: the log as a file, and its keys as another."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import rich_click as click

from app import logs
from app.archive.new_file import check_new, new_file
from app.archive.writing import export_keys, export_log
from app.cli.access import log_key, read_settings, stored
from app.cli.filling import tell_written
from app.cli.progress import progress
from app.eventstore.log import LENGTH


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="KEYFILE",
    help="Write the wrapped keys of the same moment to KEYFILE.",
)
def export(file: Path, keys: Path | None) -> None:
    """Write the log to FILE, for auditors.

    A line a record, with personal values sealed: whoever has the file alone can prove its order
    and its root, and read what isn't personal. With KEYFILE and the master key a store can be
    made of it again, by `audit import`. Nothing is written over.
    """
    if keys is not None and os.path.realpath(keys) == os.path.realpath(file):
        msg = "FILE and KEYFILE are the same: name two."
        raise click.UsageError(msg)
    logs.configure("console")
    settings = read_settings().settings
    with ExitStack() as stack:
        storage = stack.enter_context(stored(settings))
        if keys is not None:
            check_new(keys)
        rows = stack.enter_context(storage.snapshot())
        key = log_key(rows, settings)
        ((total,),) = rows.fetch(LENGTH)
        if keys is not None:
            # The last to be opened is the first to get its name.
            wrapped = stack.enter_context(new_file(keys))
        records = stack.enter_context(new_file(file))
        with progress("Exporting", int(total or 0)) as advance:
            end = export_log(rows, records, advance, key)
        if keys is not None:
            export_keys(rows, wrapped, end, key)
    tell_written(end, "Records")
