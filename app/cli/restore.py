"""`gatebook restore`: a store out of a backup."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from app import erasing
from app.archive.importing import restore
from app.cli import output
from app.cli.filling import empty_place, tell, working
from app.timestamps import rfc3339
from app.verifying.log import Noted
from domain.errors import Fault, InvalidRequest
from domain.user_key import is_user_key

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("restore")
@click.argument("file", type=_FILE)
@click.option("--erased", type=_FILE, metavar="FILE", help="Erase these again: a user_key a line.")
@click.option("--expect", metavar="POSITION:ROOT", help="It must still extend this noted root.")
def command(file: Path, erased: Path | None, expect: str | None) -> None:
    """Make a store of a backup, in an empty database of either kind.

    The master key must be set that wrapped the keys. Every event, key and name is proved, and the
    views are folded from the events. A file that the master key didn't seal needs --expect, with
    the root that was noted when it was written. What was revoked after the backup isn't known to
    it: so every session ends, the signing keys are replaced at once, and the log goes on as another
    one, which tells those who follow it to begin anew. Broken off, it leaves no store.
    """
    noted = None if expect is None else Noted.of(expect)
    people = [] if erased is None else _people(erased)
    with empty_place() as place, working(file, backup=True) as told:
        imported = restore(place, file, people, told.reading, noted, told.ending)
        erasing.finish(place.storage)
    tell(imported)
    if imported.restored is not None and people:
        output.talk(
            f"Erased again: {imported.restored.erased}. Not there, or erased before: "
            f"{imported.restored.unknown}."
        )
    output.talk(
        f"What happened after {rfc3339(imported.filled.time)} isn't known here. Look after: people "
        "erased since (--erased), secrets changed (the old ones are good again), users disabled, "
        "permissions taken away, users registered."
    )


def _people(path: Path) -> list[str]:
    """Those whom a file names; raises `InvalidRequest` for a line that is no user_key."""
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    people = dict.fromkeys(line.strip() for line in lines if line.strip())
    for number, line in enumerate(lines, 1):
        if line.strip() and not is_user_key(line.strip()):
            msg = "The people to erase can't be read, and nothing was restored."
            why = f"Line {number} of {str(path)!r} is no user_key."
            raise InvalidRequest(msg, (Fault("/erased", why),))
    return list(people)
