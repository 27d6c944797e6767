"""How commands answer: data on stdout, talk on stderr, nothing that steers a terminal.

Knows no command and no store.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Final

import rich_click as click

from app.json_lines import json_line

_ESCAPES: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_MOST: Final = 16_384
_SUSPICIOUS: Final = re.compile(r"[^\x20-\x7e]")

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


def shown(text: str) -> str:
    """The text with every control, format and separator character escaped."""
    if text.isprintable():
        return text
    return _SUSPICIOUS.sub(lambda found: _escaped(found[0]), text)


def data(lines: Iterable[str]) -> None:
    """Lines for stdout, at once; what they hold of others' texts was `shown`."""
    text = "".join(f"{line}\n" for line in lines)
    if text:
        click.echo(text, nl=False)


def json_lines(items: Iterable[object]) -> None:
    """One JSON object a line, in UTF-8; a line holds no character that could end it early."""
    text = "".join(f"{json_line(item)}\n" for item in items)
    if text:
        click.echo(text.encode(), nl=False)


def talk(text: str) -> None:
    """Something for the person at the terminal; may have several lines."""
    click.echo("\n".join(shown(line) for line in text.split("\n")), err=True)


def columns(*cells: tuple[str, int]) -> str:
    """A line of cells, each with its least width, two spaces apart."""
    return "  ".join(f"{shown(text):<{width}}" for text, width in cells).rstrip()


def read_secret(*, from_stdin: bool) -> str:
    """A new secret: from stdin without its line end, or asked for twice on a terminal."""
    if from_stdin:
        given = sys.stdin.buffer.read(_MOST).removesuffix(b"\n").removesuffix(b"\r")
        try:
            return given.decode()
        except UnicodeDecodeError:
            msg = "The secret on stdin is not UTF-8."
            raise click.UsageError(msg) from None
    if not sys.stdin.isatty():
        msg = "Nobody can be asked for the secret here: give it on stdin, with --secret-stdin."
        raise click.UsageError(msg)
    secret: str = click.prompt("Secret", hide_input=True, confirmation_prompt=True, err=True)
    return secret


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if character in _ESCAPES:
        return _ESCAPES[character]
    number = ord(character)
    if number > 0xFFFF:  # noqa: PLR2004 - what four digits can say
        return f"\\U{number:08x}"
    return f"\\u{number:04x}"
