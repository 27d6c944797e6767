"""Which events a command can lead to, read from the rules themselves.

Follows each `decide` with one command in mind: of `match command` only the case that the command
meets, of a call of another rule that rule. Every event that is made on the way is one that the
command can lead to. Executes nothing, and knows no rule by its name.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Final

from domain import commands, decider, log, signing_keys
from domain.commands import Command
from domain.events import Event

RULES: Final[tuple[tuple[type[Command], Callable[..., tuple[Event, ...]]], ...]] = (
    (commands.UserCommand, decider.decide),
    (commands.SigningKeyCommand, signing_keys.decide),
    (commands.LogCommand, log.decide),
)
"""What decides each kind of command."""

_SUBJECT: Final = "command"
"""The name under which every rule has the command."""


def every_command() -> tuple[type[Command], ...]:
    """Each command that can be wished, in the order in which they are written down."""
    return tuple(
        found
        for found in vars(commands).values()
        if isinstance(found, type) and issubclass(found, Command) and not found.__subclasses__()
    )


def leads_to(command: type[Command]) -> tuple[type[Event], ...]:
    """The events that a command can lead to, in the order in which the rules make them."""
    (rules,) = (rules for base, rules in RULES if issubclass(command, base))
    return tuple(dict.fromkeys(_made(rules, command, frozenset())))


def folded(rule: Callable[..., object]) -> tuple[type[Event], ...]:
    """The events that a rule of what follows has cases for, in its order."""
    module = inspect.getmodule(rule)
    tree = ast.parse(inspect.getsource(rule))
    patterns = [each.cls for each in ast.walk(tree) if isinstance(each, ast.MatchClass)]
    found = [_named(each, module) for each in patterns if module is not None]
    return tuple(each for each in found if isinstance(each, type) and issubclass(each, Event))


def _made(
    rule: Callable[..., object], command: type[Command], above: frozenset[Callable[..., object]]
) -> Iterator[type[Event]]:
    module = inspect.getmodule(rule)
    if module is None or rule in above:
        return
    for call in _calls(_functions(module)[rule.__name__], module, command):
        called = _named(call.func, module)
        if isinstance(called, type) and issubclass(called, Event):
            yield called
        elif isinstance(called, FunctionType) and called.__module__.startswith("domain."):
            yield from _made(called, command, above | {rule})


def _calls(node: ast.AST, module: ModuleType, command: type[Command]) -> Iterator[ast.Call]:
    """The calls below a node that a command can come to, in the order of the source."""
    if isinstance(node, ast.Call):
        yield node
    if isinstance(node, ast.Match) and ast.unparse(node.subject) == _SUBJECT:
        for case in node.cases:
            if _is_met(case.pattern, module, command):
                for statement in case.body:
                    yield from _calls(statement, module, command)
                return
        return
    for below in ast.iter_child_nodes(node):
        yield from _calls(below, module, command)


def _is_met(pattern: ast.pattern, module: ModuleType, command: type[Command]) -> bool:
    if isinstance(pattern, ast.MatchClass):
        cls = _named(pattern.cls, module)
        return isinstance(cls, type) and issubclass(command, cls)
    return True


def _named(node: ast.expr, module: ModuleType) -> object:
    """What a name, or a name in a module, stands for; None for anything else."""
    if isinstance(node, ast.Name):
        return vars(module).get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        holder = vars(module).get(node.value.id)
        return vars(holder).get(node.attr) if isinstance(holder, ModuleType) else None
    return None


@lru_cache
def _functions(module: ModuleType) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(inspect.getsource(module))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
