"""`gatebook audit`: the log, read, followed and proved; one command a file."""

from __future__ import annotations

import rich_click as click

from app.cli.audit.log import log
from app.cli.audit.replay import replay
from app.cli.audit.trace import trace


@click.group("audit")
def command() -> None:
    """Read the log."""


command.add_command(log)
command.add_command(replay)
command.add_command(trace)
