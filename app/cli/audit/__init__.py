"""`gatebook audit`: the log, read, followed, proved and taken elsewhere; one command a file."""

from __future__ import annotations

import rich_click as click

from app.cli.audit.export import export
from app.cli.audit.import_ import import_
from app.cli.audit.log import log
from app.cli.audit.replay import replay
from app.cli.audit.trace import trace
from app.cli.audit.verify import verify


@click.group("audit")
def command() -> None:
    """Read the log, prove it, and take it elsewhere."""


for each in (log, replay, trace, verify, export, import_):
    command.add_command(each)
