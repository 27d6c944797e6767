"""`gatebook audit`: the log, read, followed and proved; one command a file."""

from __future__ import annotations

import rich_click as click

from app.cli.audit.log import log
from app.cli.audit.verify import verify


@click.group("audit")
def command() -> None:
    """Read the log, and prove it."""


for each in (log, verify):
    command.add_command(each)
