"""`gatebook doctor`: what is well, what isn't, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from app import logs, master_key
from app.cli import failure, output
from app.cli.access import check_release, makes_key, open_with, read_settings
from app.cli.holding import holder
from app.cli.pooler import check_pooler
from app.clock import now
from app.examination import (
    MEND_STORE,
    Finding,
    of_checks,
    of_files,
    of_rows,
    of_settings,
)
from app.readiness import store_checks
from app.settings import SettingsError
from domain.errors import GatebookError
from projections.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command("doctor")
@output.json_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Look for what is wrong, and say what to do.

    Looks at the settings, the store, its keys, views and clock, and the last events; writes
    nothing but the time, to see that it can. The exit code is 0 when nothing failed; warnings
    don't count.
    """
    logs.configure("console")
    code = 0
    try:
        for finding in examine():
            _print(finding, as_json=as_json)
            if finding.level == "fail":
                code = code or failure.FAILED
    except (GatebookError, StorageError) as error:
        for finding in _failures(error):
            _print(finding, as_json=as_json)
        code = failure.code_of(error)
    ctx.exit(code)


def examine() -> Iterator[Finding]:
    """Everything there is to look at; raises what keeps it from looking further."""
    settings = read_settings().settings
    check_release(settings)
    yield from of_settings(settings)
    path = settings.sqlite_path
    if path is not None:
        yield from of_files(path)
        if not makes_key(settings):
            master_key.obtain(settings)  # a file of it that others can read is refused
        pid = holder(path)
        serving = f"process {pid} serves this store" if pid else "no process serves this store"
        yield Finding("ok", "service", serving)
    check_pooler(settings)
    with open_with(settings, make=False) as store:
        yield Finding("ok", "master key", "opens every key of the store")
        yield from of_checks(store_checks(store, now()))
        with store.snapshot() as rows:
            found = of_rows(rows, store.storage.kind, store.vault, settings, now())
            yield from found


def _failures(error: GatebookError | StorageError) -> list[Finding]:
    if isinstance(error, SettingsError):
        return [
            Finding("fail", "settings", f"{fault.name} {fault.problem}") for fault in error.faults
        ]
    detail, _, action = (failure.describe(error) or "").partition("\n")
    if isinstance(error, StorageError):
        # What other commands say then is to run this one.
        action = MEND_STORE
    return [Finding("fail", "store", detail, action)]


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        output.json_lines([finding])
        return
    lines = [output.columns((finding.level, 4), (finding.check, 13), (finding.detail, 0))]
    if finding.action:
        lines.append(f"{'':21}{output.shown(finding.action)}")
    output.data(lines)
