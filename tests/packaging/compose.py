"""Compose files, read as Compose reads them: variables put in, one file laid over another.

Knows nothing of what should stand there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml  # type: ignore[import-untyped] # it has no stubs

_VARIABLE: Final = re.compile(r"\$\{\w+:-([^}]*)\}")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600}
_BYTES: Final = {"k": 2**10, "m": 2**20, "g": 2**30}


def load(text: str) -> dict[str, Any]:
    """A file, as it is with no variable set."""
    loaded: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(r"\1", text))
    return loaded


def laid_over(under: Any, over: Any) -> Any:
    """Both together: what is new is added, and what is not a list or a mapping is replaced."""
    if isinstance(under, dict) and isinstance(over, dict):
        both = {name: laid_over(under[name], over[name]) for name in under.keys() & over.keys()}
        return {**under, **over, **both}
    if isinstance(under, list) and isinstance(over, list):
        return under + over
    return over


def seconds(text: str) -> int:
    """A duration such as `15s`."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def size(text: str) -> int:
    """Bytes, from such as `512m`."""
    return int(text[:-1]) * _BYTES[text[-1]]


def without_reason(text: str) -> Iterator[str]:
    """Settings that no comment explains, as `services.gatebook.init`.

    A comment stands above what it is about, and is about the first of what lies in that as well.
    """
    lines = text.splitlines()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    yield from _unexplained(root, lines, "", explained=False)


def _unexplained(node: yaml.Node, lines: list[str], path: str, *, explained: bool) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode) and node.value:
        for place, (key, value) in enumerate(node.value):
            above = lines[key.start_mark.line - 1].lstrip() if key.start_mark.line else ""
            told = above.startswith("#") or (explained and place == 0)
            name = f"{path}.{key.value}".removeprefix(".")
            yield from _unexplained(value, lines, name, explained=told)
    elif isinstance(node, yaml.SequenceNode) and isinstance(node.value[0], yaml.MappingNode):
        for each in node.value:
            yield from _unexplained(each, lines, path, explained=explained)
    elif not explained:
        yield path
