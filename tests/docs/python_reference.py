"""Makes the reference page of the Python client of its own code: what it has, in its own words.

Knows nothing of what it does.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from types import FunctionType
from typing import Any, Final

import msgspec

import gatebook_client
from gatebook_client import answers, cli, errors, pytest_plugin, testing
from gatebook_client.credentials import NAMES, PREFIX
from tests.docs.pages import ROOT

PYTHON: Final = ROOT / "clients" / "python"
ADAPTERS: Final = ("asgi", "fastapi", "litestar", "django", "requests")

_MADE: Final = "This page is made from the source, by `python -m tests.docs.generate`."
_STARS: Final[dict[object, str]] = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
}
_SECTION: Final = re.compile(r"(Args|Raises):")
_HAS: Final = "It has:"
_ITEM: Final = re.compile(r"    (\w[\w, ]*): (.*)")


def python_page() -> str:
    """What `gatebook-client` for Python has."""
    project = tomllib.loads((PYTHON / "pyproject.toml").read_text("utf-8"))["project"]
    extras = ", ".join(f"`[{each}]`" for each in project["optional-dependencies"])
    public = [getattr(gatebook_client, name) for name in gatebook_client.__all__]
    found = [each for each in public if isinstance(each, type)]
    wrong = [each for each in found if issubclass(each, errors.GatebookError)]
    values = [each for each in found if issubclass(each, msgspec.Struct)]
    others = [each for each in found if each not in (*wrong, *values)]
    assert {*map(type, (each for each in public if each not in found))} == {str}  # the version
    return _tidy(f"""\
# The Python client

For a developer who wants to know exactly what `gatebook-client` for Python has.
{_MADE}
What it does in which situation [is told elsewhere](../explanation/clients.md).
[Its README](../../clients/python/README.md) and [a how-to](../how-to/use-the-python-client.md)
show how it is used.

Python `{project["requires-python"]}`. What it can be plugged into: {extras}.

{_text(gatebook_client)}
## Classes
{"".join(map(_class, others))}
## Values

What the classes above hold and take. A `repr` shows no token and no secret.
{"".join(map(_struct, values))}
## What calls return

In `gatebook_client.answers`; members that a newer service adds are passed over.
{"".join(map(_struct, _returned(gatebook_client.Gatebook)))}
## Errors

{_text(errors)}
{"".join(f"- `{each.__name__}`: {_flat(each)}{chr(10)}" for each in wrong)}
## Adapters
{"".join(_module(f"gatebook_client.adapters.{each}") for each in ADAPTERS)}
## Testing

{_text(testing)}
{"".join(map(_either, (getattr(testing, name) for name in testing.__all__)))}
{_text(pytest_plugin)}

## Environment

What `from_environment()` reads. Each also with `_FILE`: the name of a file that holds the value. An
unknown name is an error.

| variable | what it is |
| --- | --- |
{"".join(f"| `{PREFIX}{name}` | {what} |{chr(10)}" for name, what in NAMES.items())}
## Command line

{"".join(_commands(cli._parser()))}
Exit codes: {cli.DONE} done, {cli.FAILED} failed, {cli.USAGE} usage or configuration,
{cli.UNAVAILABLE} the service is unavailable.
""")


def _tidy(text: str) -> str:
    """With no more than one line empty."""
    return re.sub(r"\n{3,}", "\n\n", text)


def _returned(cls: type) -> list[type[msgspec.Struct]]:
    """The answers that its calls name, and those that these name."""
    told = " ".join(_method(cls, name) for name in vars(cls))
    found = {name: each for name, each in vars(answers).items() if _is_of(answers, each)}
    named: dict[str, type[msgspec.Struct]] = {}
    while more := {
        name: each
        for name, each in found.items()
        if name not in named and re.search(rf"\b{name}\b", told)
    }:
        named |= more
        told = " ".join(str(each.__annotations__) for each in more.values())
    return [*named.values()]


def _class(cls: type, heading: str = "") -> str:
    """A class: how it is made, what it is, and what it can do."""
    made = f"`{cls.__name__}{_signature(inspect.getattr_static(cls, '__init__'))}`\n"
    parts = [f"\n{heading or f'### {cls.__name__}'}\n", made, _text(cls)]
    names = {name: None for each in _ours(cls) for name in vars(each) if not name.startswith("_")}
    if cls is gatebook_client.AsyncGatebook:
        parts.append(_like(cls, gatebook_client.Gatebook, names))
    else:
        methods = "".join(_method(cls, name) for name in names)
        parts.append(f"{_HAS}\n\n{methods}" if methods else "")
    return "\n".join(each for each in parts if each)


def _like(cls: type, other: type, names: Iterable[str]) -> str:
    """That the calls are those of another class; an error when they aren't."""
    differing = {
        name
        for name in names
        if callable(getattr(cls, name))
        and _parameters(getattr(cls, name)) != _parameters(getattr(other, name, None))
    }
    missing = {name for each in _ours(other) for name in vars(each) if name[0] != "_"} - {*names}
    assert differing | missing <= {"close", "aclose"}, differing | missing
    ways = ", ".join(f"`{each}`" for each in sorted(differing))
    return (
        f"The same calls as [`{other.__name__}`](#{other.__name__.lower()}), each to be awaited "
        f"(an iterator: `async for`){f'; {ways} in place of `close`' if ways else ''}.\n"
    )


def _parameters(call: Callable[..., Any] | None) -> list[tuple[str, object]]:
    if call is None:
        return []
    return [(each.name, each.default) for each in inspect.signature(call).parameters.values()]


def _ours(cls: type) -> list[type]:
    """It and what of this distribution it descends from."""
    return [each for each in cls.__mro__ if each.__module__.startswith("gatebook_client")]


def _method(cls: type, name: str) -> str:
    found = inspect.getattr_static(cls, name)
    if isinstance(found, property) and found.fget is not None:
        return f"- `{name}: {_annotations(found.fget)['return']}`: {_flat(found)}\n"
    if not callable(getattr(cls, name)):
        return ""
    before = "await " if inspect.iscoroutinefunction(getattr(cls, name)) else ""
    return f"- `{before}{name}{_signature(getattr(cls, name))}`: {_flat(getattr(cls, name))}\n"


def _either(cls: type) -> str:
    return _struct(cls) if issubclass(cls, msgspec.Struct) else _class(cls)


def _struct(cls: type[msgspec.Struct]) -> str:
    """A value: its members, and what it can do."""
    members = "".join(
        f"- `{field.name}: {cls.__annotations__[field.name]}`\n"
        for field in msgspec.structs.fields(cls)
        if not field.name.startswith("_")
    )
    fields = {*cls.__struct_fields__}
    names = [name for name in vars(cls) if not name.startswith("_") and name not in fields]
    return f"\n### {cls.__name__}\n\n{_text(cls)}\n{members}" + "".join(
        _method(cls, name) for name in names
    )


def _module(path: str) -> str:
    """An adapter: its functions, and its classes."""
    module, short = import_module(path), path.rpartition(".")[2]
    found = [each for each in vars(module).values() if _is_of(module, each)]
    functions = "".join(
        f"- `{each.__name__}{_signature(each)}`: {_flat(each)}\n"
        for each in found
        if not isinstance(each, type)
    )
    classes = "".join(
        _class(each, f"#### {short}.{each.__name__}") for each in found if isinstance(each, type)
    )
    return f"\n### {path}\n\n{_text(module)}\n{functions}{classes}"


def _is_of(module: object, found: object) -> bool:
    """Whether it is a public class or function of this module.

    By its type, and not by what it says that it is: settings of Django's would be loaded.
    """
    return (
        issubclass(type(found), (type, FunctionType))
        and getattr(found, "__module__", "") == getattr(module, "__name__", None)
        and not getattr(found, "__name__", "_").startswith("_")
    )


def _signature(call: Callable[..., Any]) -> str:
    """As it is written, without `self`."""
    told = inspect.signature(call)
    written = _annotations(call)
    parts: list[str] = []
    named = False
    for each in told.parameters.values():
        if each.name in {"self", "cls"}:
            continue
        if each.kind is each.KEYWORD_ONLY and not named:
            parts += [] if any(part.startswith("*") for part in parts) else ["*"]
            named = True
        stars = _STARS.get(each.kind, "")
        what = f": {written[each.name]}" if each.name in written else ""
        default = "" if each.default is each.empty else f" = {each.default!r}"
        parts.append(f"{stars}{each.name}{what}{default}")
    returns = written.get("return", "None")
    return f"({', '.join(parts)})" + ("" if returns == "None" else f" -> {returns}")


def _annotations(call: Callable[..., Any]) -> dict[str, str]:
    """The types, as the source has them."""
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(call)))).body
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        raise TypeError(f"{call!r} is no function.")
    given = found.args
    several = [each for each in (given.vararg, given.kwarg) if each is not None]
    named = {
        each.arg: ast.unparse(each.annotation)
        for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, *several)
        if each.annotation is not None
    }
    return named | ({"return": ast.unparse(found.returns)} if found.returns else {})


def _text(thing: object) -> str:
    """What is said of it: paragraphs, examples as they stand, and lists of arguments."""
    told = inspect.getdoc(thing)
    if not told:
        raise ValueError(f"{thing!r} has no words of its own.")
    return "".join(f"{_paragraph(each)}\n\n" for each in told.split("\n\n") if _is_for_all(each))[
        :-1
    ]


def _is_for_all(paragraph: str) -> bool:
    """What a module must not know is said to those alone who change it."""
    return not paragraph.startswith("Knows ")


def _paragraph(text: str) -> str:
    if not _SECTION.match(text):
        return text
    items: list[str] = []
    for line in text.splitlines()[1:]:
        if found := _ITEM.fullmatch(line):
            items.append(f"- `{found[1].replace(', ', '`, `')}`: {found[2]}")
        else:
            items[-1] += f" {line.strip()}"
    return "\n".join(items)


def _flat(thing: object) -> str:
    """The same on one line."""
    told = inspect.getdoc(thing) or ""
    if not told:
        raise ValueError(f"{thing!r} has no words of its own.")
    return " ".join(_SECTION.sub(r"\1:", told).split())


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"{parser.description}\n"
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    says = {each.dest: each.help for each in commands._choices_actions}
    for name, command in commands.choices.items():
        taken = [each for each in command._actions if each.dest != "help"]
        usage = "".join(f" {each.metavar}" for each in taken if not each.option_strings)
        yield f"\n### {parser.prog} {name}\n\n`{parser.prog} {name}{usage}`: {says[name]}.\n\n"
        yield "| option | |\n| --- | --- |\n"
        for each in taken:
            value = "" if each.nargs == 0 else f" {each.metavar or each.dest.upper()}"
            option = f"{each.option_strings[0]}{value}" if each.option_strings else each.metavar
            yield f"| `{option}` | {each.help} |\n"
    yield ""
