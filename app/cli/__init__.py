"""The command line: one noun a file, loaded when it is asked for.

Knows how commands are found and how a failure is told; each command's file knows the rest. What
a command answers goes to stdout, whatever it says besides to stderr.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Final

import rich_click as click
from click.exceptions import Abort, Exit

from app.cli import ending
from app.version import VERSION

COMMANDS: Final = {
    "serve": "Run the service.",
    "demo": "Show it all on a throw-away service.",
    "users": "List users, make them, and change them.",
    "sessions": "List a user's sessions, and end them.",
    "keys": "List the signing keys, rotate them, and change the master key.",
    "audit": "Read the log, prove it, and take it elsewhere.",
    "projections": "Show the projections, rebuild them, and compare them with the log.",
    "backup": "Write the log and its keys to FILE, while the service runs.",
    "restore": "Make a store of a backup, in an empty database of either kind.",
    "config": "Show and check the settings.",
    "doctor": "Look for what is wrong, and say what to do.",
    "openapi": "Print the OpenAPI description.",
}
"""Each command with its first line, so that `--help` needs none of their files."""


class Commands(click.RichGroup):
    """The commands, each imported when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """What a listing shows of a command."""
        del ctx
        summary = COMMANDS.get(cmd_name)
        return None if summary is None else click.RichCommand(name=cmd_name, help=summary)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command itself."""
        name, found, rest = super().resolve_command(ctx, args)
        if name is not None and found is not None:
            found = import_module(f"app.cli.{name}").command
        return name, found, rest

    def invoke(self, ctx: click.Context) -> object:
        """Run a command, and tell a failure that we know in one message."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read has what it wanted.
            _close_stdout()
            ctx.exit(0)
        except (Exit, Abort, click.ClickException):
            raise
        except Exception as error:
            from app.cli.failure import told  # noqa: PLC0415 - `--help` shouldn't wait for it

            if isinstance(error, OSError) and error.filename is None:
                _close_stdout()
                click.echo(f"The answer can't be written: {error.strerror}", err=True)
                ctx.exit(1)
            code = told(error)
            if code is None:
                raise
            ctx.exit(code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, message="gatebook %(version)s")
def cli() -> None:
    """Gatebook: an authentication service whose database is its audit log.

    Settings are environment variables: see `gatebook config show`. Exit codes: 0 done, 1 failed,
    2 usage or settings, 3 not found, 5 verification failed, 6 store unavailable.
    """


def main() -> int:
    """Run the command line, and return its exit code."""
    with suppress(AttributeError):
        # What a terminal's encoding lacks is escaped, never a failure.
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    ending.orderly()
    try:
        cli.main(prog_name="gatebook")
    except SystemExit as end:
        return _flushed(end.code if isinstance(end.code, int) else 1)
    return _flushed(0)


def _flushed(code: int) -> int:
    if sys.stdout is None:  # closed before we came
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
    except (OSError, ValueError) as error:
        _close_stdout()
        click.echo(f"The answer can't be written: {error}", err=True)
        return 1
    return code


def _close_stdout() -> None:
    """Let nothing meet the closed pipe again, the interpreter's own last flush neither."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
