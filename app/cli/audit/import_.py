"""`gatebook audit import`: a store out of an exported log and its keys."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from app.archive.importing import import_log
from app.cli import output
from app.cli.filling import empty_place, tell, working
from app.verifying.log import Noted

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("import")
@click.argument("file", type=_FILE)
@click.option("--keys", type=_FILE, metavar="KEYFILE", required=True, help="The keys of FILE.")
@click.option("--move", is_flag=True, help="Go on as the same log: its source never runs again.")
@click.option("--expect", metavar="POSITION:ROOT", help="It must still extend this noted root.")
def import_(file: Path, keys: Path, *, move: bool, expect: str | None) -> None:
    """Make a store of an exported log, in an empty database of either kind.

    The master key must be set that wrapped the keys. Every record, key and name is proved, and the
    views are folded from the records. Files that the master key didn't seal need --expect, with
    the root that was noted when they were written. Then the log goes on as another one: every
    session ends, and the signing keys are replaced at once. With --move nothing of that happens:
    only when the source is shut down for ever. Broken off, it leaves no store.
    """
    noted = None if expect is None else Noted.of(expect)
    with empty_place() as place, working(file, backup=False) as told:
        imported = import_log(
            place, file, keys, told.reading, move=move, noted=noted, ending=told.ending
        )
    tell(imported)
    if move:
        output.talk("This is the same log now. Never run its source again: it would fork.")
