"""`--help` of every command, against golden files.

`python -m tests.cli.test_help` writes them anew; the difference is what users will see.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from app.cli import COMMANDS, cli

FOLDER = Path(__file__).parents[1] / "golden" / "help"
WIDTH = {"COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1", "FORCE_COLOR": None}


def paths() -> Iterator[tuple[str, ...]]:
    """Every command by the words that call it."""
    yield ()
    for name in COMMANDS:
        yield (name,)
        found = import_module(f"app.cli.{name}").command
        if isinstance(found, click.Group):
            yield from ((name, each) for each in found.commands)


def shown(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(cli, [*path, "--help"], prog_name="gatebook", env=WIDTH)
    assert (result.exit_code, result.stderr) == (0, "")
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


def golden(path: tuple[str, ...]) -> Path:
    return FOLDER / f"{'-'.join(('gatebook', *path))}.txt"


@pytest.mark.parametrize("path", list(paths()), ids=" ".join)
def test_help_is_as_in_its_golden_file(path: tuple[str, ...]) -> None:
    assert shown(path) == golden(path).read_text(encoding="utf-8")


def test_there_is_a_golden_file_for_each_command_and_no_other() -> None:
    assert set(FOLDER.iterdir()) == {golden(path) for path in paths()}


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    for name, summary in COMMANDS.items():
        found = import_module(f"app.cli.{name}").command
        assert found.name == name
        assert found.help.splitlines()[0] == summary


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in FOLDER.iterdir():
        each.unlink()
    for each_path in paths():
        golden(each_path).write_text(shown(each_path), encoding="utf-8")
