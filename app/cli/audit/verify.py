"""`gatebook audit verify`: the store is what its log says, and the log is whole."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from app import logs
from app.archive.importing import header_of
from app.archive.proving import UNPROVED, verify_file
from app.bootstrap import open_vault
from app.cli import failure, output
from app.cli.access import read_settings, stored
from app.cli.progress import progress
from app.eventstore.log import LENGTH
from app.verifying.log import Noted
from app.verifying.store import Report, verify_log, verify_store

_ALL_WELL = "Nothing was found. Note the root, and give it to --expect next time:\n"


@click.command("verify")
@click.option("--log-only", is_flag=True, help="Prove the log, and not what follows from it.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Prove an exported log instead: without the store and its keys.",
)
@click.option("--expect", metavar="POSITION:ROOT", help="It must still extend this noted root.")
@output.json_option
@click.pass_context
def verify(
    ctx: click.Context, *, log_only: bool, file: Path | None, expect: str | None, as_json: bool
) -> None:
    """Re-read everything and prove it.

    Each event in its place, chained to the one before and readable or rightly erased; each key
    opens, each name is reserved, each row of each view is what the log says, and the database
    guards the events. What isn't is named, and the exit code is 5. The root stands for all events
    so far: noted elsewhere, it shows later that none of them was changed or cut off, by whoever has
    all the keys neither.
    """
    noted = None if expect is None else Noted.of(expect)
    if file is None:
        found = _of_store(noted, log_only=log_only)
    else:
        found = _of_file(file, noted)
        output.talk(UNPROVED)
    _tell(found, as_json=as_json)
    for each in found.notes:
        output.talk(f"Note: {each.table} {each.key}. {each.detail}")
    if not found.ok:
        output.talk(f"Found: {len(found.findings)}. This isn't what it must be.")
        ctx.exit(failure.UNVERIFIED)
    output.talk(f"{_ALL_WELL}{found.head}:{found.root}")


def _of_file(file: Path, noted: Noted | None) -> Report:
    with progress("Verifying", header_of(file, backup=False).head) as advance:
        return verify_file(file, noted, advance)


def _of_store(noted: Noted | None, *, log_only: bool) -> Report:
    settings = read_settings().settings
    logs.configure("console")
    with stored(settings) as storage, storage.snapshot() as rows:
        ((total,),) = rows.fetch(LENGTH)
        with progress("Verifying", int(total or 0)) as advance:
            vault = open_vault(settings)
            if log_only:
                return verify_log(rows, vault, noted, advance)
            return verify_store(rows, vault, noted, advance, storage.kind)


def _tell(found: Report, *, as_json: bool) -> None:
    if as_json:
        output.json_lines([found])
        return
    members = {"log_id": found.log_id, "head": str(found.head), "root": found.root}
    output.data(
        output.columns((name, 14), (value, 0)) for name, value in (members | found.digests).items()
    )
    output.data(
        output.columns((each.table, 14), (each.key, 29), (each.detail, 0))
        for each in found.findings
    )
