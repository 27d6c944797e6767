"""Reads what modules in TypeScript export: the declarations, and the comments before them.

Takes the forms that the JavaScript client is written in and no others: what it can't read is an
error, so that nothing is left out unseen. Knows no page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_EXPORTED: Final = re.compile(r"^export\b", re.MULTILINE)
_FROM: Final = re.compile(r"export (?:type )?\{ (\w+(?:, \w+)*) \} from '(\.[\w./]+)\.js';")
_DECLARED: Final = re.compile(
    r"export (?P<kind>interface|type|class|(?:async )?function|const) (?P<name>\w+)"
)
_COMMENT: Final = re.compile(r"/\*\*(.*?)\*/", re.DOTALL)
_COMMENT_BEFORE: Final = re.compile(r"/\*\*((?:(?!\*/).)*)\*/\s*\Z", re.DOTALL)
_MODIFIERS: Final = re.compile(r"^(?:(?:override|declare|readonly) )*")
_VALUE: Final = re.compile(r" = [^=>]*$")
_CHOICE: Final = re.compile(r"(?:/\*\*((?:(?!\*/).)*)\*/\s*)?\| ('\w+')\s*", re.DOTALL)
_OPEN: Final = dict(zip("([{", ")]}", strict=True))


class UnreadableError(Exception):
    """The source has a form that isn't known here."""


class Member(NamedTuple):
    """A part of a declaration: its source on one line, and what is said of it."""

    text: str
    says: str


class Declaration(NamedTuple):
    """What is exported under a name.

    `text` is how it is called, or what it is the same as; empty for what has members alone.
    """

    name: str
    kind: str
    text: str
    says: str
    members: list[Member]


def exported(module: Path) -> Iterator[Declaration]:
    """Everything that a module exports, in its order."""
    source = module.read_text(encoding="utf-8")
    for found in _EXPORTED.finditer(source):
        if passed_on := _FROM.match(source, found.start()):
            other = (module.parent / f"{passed_on[2]}.ts").resolve()
            for name in passed_on[1].split(", "):
                yield declared(other, name)
        elif (named := _DECLARED.match(source, found.start())) is not None:
            yield _declaration(source, named)
        else:
            raise _unreadable(module.name, source[found.start() :])


def declared(module: Path, name: str) -> Declaration:
    """What a module exports under this name."""
    source = module.read_text(encoding="utf-8")
    for found in _DECLARED.finditer(source):
        if found["name"] == name:
            return _declaration(source, found)
    raise _unreadable(module.name, f"no declaration of {name}")


def _declaration(source: str, found: re.Match[str]) -> Declaration:
    name, kind = found["name"], found["kind"]
    before = _COMMENT_BEFORE.search(source, 0, found.start())
    says = _plain(before[1]) if before else ""
    rest = source[found.end() :]
    match kind:
        case "interface" | "class":
            head, body = _block(rest)
            return Declaration(name, kind, _one_line(head), says, list(_members(body)))
        case "type":
            text = rest[: _end(rest)].strip()
            if not text.startswith("="):
                raise _unreadable(name, rest)
            same = text[1:].strip()
            if "/**" in same:
                return Declaration(name, kind, "", says, list(_choices(same)))
            return Declaration(name, kind, _one_line(same.removeprefix("| ")), says, [])
        case "function":
            head, _ = _block(rest)
            return Declaration(name, kind, _one_line(name + head), says, [])
    raise _unreadable(name, f"export {kind}")


def _members(body: str) -> Iterator[Member]:
    """Those of an interface, or of a class: each ends at a semicolon, or with its block."""
    while body := body.strip():
        said = ""
        if comment := _COMMENT.match(body):
            said, body = _plain(comment[1]), body[comment.end() :].strip()
        if body.startswith("constructor("):
            head, _ = _block(body)
            body = body[_after_block(body) :]
            yield Member(_one_line(head), said)
            continue
        if not re.match(r"(?:(?:override|declare|readonly) )*\w+[?]?[:(<]", body):
            raise _unreadable("a member", body)
        end = _end(body)
        text, body = body[:end], body[end + 1 :]
        yield Member(_MODIFIERS.sub("", _VALUE.sub("", _one_line(text))), said)


def _choices(text: str) -> Iterator[Member]:
    """Those of a union, each with the comment before it."""
    at = 0
    while at < len(text):
        found = _CHOICE.match(text, at)
        if found is None:
            raise _unreadable("a choice", text[at:])
        yield Member(found[2], _plain(found[1] or ""))
        at = found.end()


def _block(text: str) -> tuple[str, str]:
    """What comes before the block of a declaration, and what is in it."""
    start = _end(text, block=True)
    return text[:start].strip(), text[start + 1 : _after_block(text) - 1]


def _after_block(text: str) -> int:
    start = _end(text, block=True)
    return start + 1 + _closing(text[start + 1 :], "}") + 1


def _end(text: str, *, block: bool = False) -> int:
    """Where it ends: at a semicolon outside of brackets, or where the block begins.

    The block is what a line ends with; a type in braces is followed by more.
    """
    at = 0
    while at < len(text):
        if comment := _COMMENT.match(text, at):
            at = comment.end()
            continue
        each = text[at]
        if block and each == "{" and text[at : at + 2] == "{\n":
            return at
        if each == ";" and not block:
            return at
        if each in _OPEN:
            at += 1 + _closing(text[at + 1 :], _OPEN[each])
        at += 1
    raise _unreadable("an end", text)


def _closing(text: str, mark: str) -> int:
    """Where the bracket closes that was open before this text."""
    at, awaited = 0, [mark]
    while at < len(text):
        if comment := _COMMENT.match(text, at):
            at = comment.end()
            continue
        each = text[at]
        if each in _OPEN:
            awaited.append(_OPEN[each])
        elif each in _OPEN.values():
            if each != awaited.pop():
                raise _unreadable("a bracket", text[at:])
            if not awaited:
                return at
        at += 1
    raise _unreadable(f"no {mark}", text)


def _plain(comment: str) -> str:
    """A comment's paragraphs as one text."""
    lines = [re.sub(r"^\s*\*? ?", "", each) for each in comment.splitlines()]
    return " ".join(" ".join(lines).split())


def _one_line(text: str) -> str:
    joined = " ".join(text.split())
    return re.sub(r",? ([)}])$", r"\1", joined.replace("( ", "(").replace(", )", ")"))


def _unreadable(what: str, source: str) -> UnreadableError:
    return UnreadableError(f"{what}: {source[:120]!r}")
