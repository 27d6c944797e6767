"""Makes of what the source says the reference pages, but that of problems, and the picture of it.

`python -m tests.docs.generate` writes them anew; a test checks that they are fresh. The page of
problems has a program of its own, `tests.http.problem_reference`; that of benchmarks is made, with
its charts, of figures that are kept (`tests.benchmarks.page`). What that of HTTP says is put
together by `tests.docs.http_reference`, what that of the proofs says by
`tests.docs.proofs_reference`, and what those of the clients say by `tests.docs.python_reference`
and `tests.docs.javascript_reference`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Final, Literal, get_args, get_origin, get_type_hints

import click
import msgspec
from prometheus_client.metrics import MetricWrapperBase

from app import audit
from app.cli import COMMANDS, cli
from app.metrics import Metrics
from app.settings import SETTINGS
from app.web.model.graph import MEMORY, model
from app.web.model.readers import KEY_RING, LOG, PLACES, READERS
from app.web.model.standalone import standalone
from domain import decider, log, session_rules, signing_keys
from domain.catalogue import EVENTS
from domain.events import Event
from domain.sealed import Personal
from tests.benchmarks import page as benchmarks
from tests.docs.http_reference import http_page
from tests.docs.javascript_reference import javascript_page
from tests.docs.pages import DOCS, anchor
from tests.docs.proofs_reference import proofs_page
from tests.docs.python_reference import python_page

REFERENCE: Final = DOCS / "reference"

_MADE: Final = "This page is made from the source, by `python -m tests.docs.generate`."
_SEALED_BY: Final = {
    "person": "sealed, with the person's key",
    "credential": "sealed, with a key of its own",
}
_MODES: Final = {
    "inline": "Written in the transaction of the event.",
    "follow": "Written soon after the event.",
    MEMORY: "Held in memory by each process, and read from the log anew after a change.",
}
_STREAMS: Final = {"signing_key": "`signing_keys`", "log": "`log`"}


def settings_page() -> str:
    """Every variable, with its default and its meaning."""
    rows = "".join(
        f"| `{each.name}` | {_default(each.default, each.default_note)} | {each.meaning} |\n"
        for each in SETTINGS
    )
    return f"""\
# Settings

For whoever runs Gatebook.
{_MADE}

Every setting is an environment variable, read once at start. `NAME_FILE` in place of `NAME` names
a file that holds the value, which is how a secret is given: `GATEBOOK_MASTER_KEY_FILE`. Durations
are seconds, or such as `90s`, `15m`, `12h`, `30d`. Lists are separated by commas. `gatebook serve`
takes the address, the port and the number of workers as options too; those win.

An unknown variable that begins with `GATEBOOK_` is an error, which names the nearest real one;
`GATEBOOK_CLIENT_…` belongs to clients and `GATEBOOK_TEST_…` to the tests. All faults are told at
once, with exit code 2. `gatebook config show` prints every value and where it came from, secrets
masked; `gatebook config check` only looks for faults.

| variable | default | meaning |
| --- | --- | --- |
{rows}"""


def _default(text: str | None, note: str) -> str:
    return f"`{text}`" if text else note


def events_page() -> str:
    """Every event that can be stored."""
    written = _constructed()
    sections = "".join(_event(cls, written=cls.__name__ in written) for cls in EVENTS.values())
    rows = "".join(
        f"| [`{name}`](#{anchor(name)}) | {_says(cls)} |\n" for name, cls in EVENTS.items()
    )
    return f"""\
# Events

For whoever reads the log, and whoever changes what is written to it.
{_MADE}

Every accepted change is one or more events. They are never changed or removed; a released name,
its members and their meaning stay for ever. Beside the members below every event has a `position`
in the log (1, 2, 3 … without gaps), a `stream` and a `version` in it, a `time` that never goes
back, an `actor` (`user:uk_…`, `anonymous`, `cli` or `system`), the `request_id` that it came of,
and where that request came from: `ip` and `user_agent`, sealed with the key of whoever acted (of
an anonymous one: with that of the stream's user).

`gatebook audit log` prints events, with `--json` one object a line: `{{{
        ", ".join(audit.EventItem.__struct_fields__)
    }}}`. Members stand in `data`. Times are RFC 3339 in UTC there, and µs since the epoch in the
store. What is sealed is at rest only as a blob, and reads as null once its person was erased; a
hash is never shown. [How the log is kept](../explanation/store.md) says more.

Some events are not written by this release; it reads them all the same.

| event | says |
| --- | --- |
{rows}{sections}"""


def _event(cls: type[Event], *, written: bool) -> str:
    stream = _STREAMS.get(cls.name.partition(".")[0], "the user's, named by the user_key")
    edges = [each.target for each in model().edges if each.source == f"event:{cls.name}"]
    views = [f"`{each.partition(':')[2]}`" for each in edges]
    hints = get_type_hints(cls)
    members = "".join(
        f"| `{field.encode_name}` | {_kind(cls, field, hints[field.name])} |\n"
        for field in msgspec.structs.fields(cls)
    )
    table = f"\n| member | what |\n| --- | --- |\n{members}" if members else "\nNo members.\n"
    unwritten = "" if written else " This release doesn't write it yet."
    return (
        f"\n## {cls.name}\n\nSchema {cls.schema}. {_says(cls)}{unwritten}\n\n"
        f"Stream: {stream}. Views that read it: {', '.join(views) or 'none'}.\n{table}"
    )


def _kind(cls: type[Event], field: msgspec.structs.FieldInfo, hint: object) -> str:
    if hint == Personal:
        return f"text, {_SEALED_BY[cls.seals[field.name]]}"
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(f"`{each}`" for each in get_args(hint))
    if hint is int:
        return "time" if field.encode_name in audit._TIMES else "whole number"
    return {
        str: "text",
        tuple[str, ...]: "list of texts",
        dict[str, str]: "object of texts",
    }[hint]  # type: ignore[index]


def _says(cls: type[Event]) -> str:
    text = inspect.cleandoc(cls.__doc__ or "")
    for field in msgspec.structs.fields(cls):
        text = text.replace(f"`{field.name}`", f"`{field.encode_name}`")
    return text


def _constructed() -> set[str]:
    """Classes of events that some rule makes."""
    return {
        ast.unparse(node.func).removeprefix("events.")
        for module in (decider, session_rules, signing_keys, log)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call)
    }


def command_line_page() -> str:
    """Every command, as its `--help` says."""
    parts = [_command(("gatebook", *path), command) for path, command in commands() if path]
    listed = "".join(
        f"| [`gatebook {' '.join(path)}`](#{anchor('gatebook ' + ' '.join(path))}) "
        f"| {_help(command)[0]} |\n"
        for path, command in commands()
        if path and not isinstance(command, click.Group)
    )
    return f"""\
# Command line

For whoever runs Gatebook.
{_MADE}

In a checkout, `./run gatebook …` runs any command and `./run serve` is short for
`./run gatebook serve`. Commands work on the store itself, with the service running or not, and
take the [settings](settings.md) from the environment. What a command answers goes to stdout,
whatever it says besides to stderr. Secrets are never arguments.

Exit codes: 0 done, 1 failed, 2 usage or settings, 3 not found, 5 verification failed, 6 store
unavailable.

| command | does |
| --- | --- |
{listed}{"".join(parts)}"""


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command by the words that call it, `gatebook` itself first."""
    yield (), cli
    for name in COMMANDS:
        found: click.Command = import_module(f"app.cli.{name}").command
        yield (name,), found
        if isinstance(found, click.Group):
            for each in sorted(found.commands):
                yield (name, each), found.commands[each]


def _command(words: tuple[str, ...], command: click.Command) -> str:
    first, *rest = _help(command)
    # As `gatebook` makes it: a command keeps the help option that it was asked for first.
    context = click.Context(command, info_name=" ".join(words), **cli.context_settings)
    usage = " ".join([" ".join(words), *command.collect_usage_pieces(context)])
    more = "".join(f"\n{each}\n" for each in rest)
    options = "".join(
        f"| {_option(each)} | {each.help} |\n"
        for each in command.params
        if isinstance(each, click.Option)
    )
    table = f"\n| option | |\n| --- | --- |\n{options}" if options else ""
    return f"\n## {' '.join(words)}\n\n`{usage}`\n\n{first}\n{more}{table}"


def _help(command: click.Command) -> list[str]:
    """Its paragraphs, each on one line."""
    text = inspect.cleandoc(command.help or "")
    return [" ".join(each.split()) for each in text.split("\n\n")]


def _option(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.metavar or option.type.name.upper()}"
    return ", ".join(f"`{each}{value}`" for each in option.opts)


def metrics_page() -> str:
    """Every figure of `/metrics`."""
    rows = "".join(
        f"| `{name}` | {kind} | {labels} | {text} |\n" for name, kind, labels, text in figures()
    )
    return f"""\
# Metrics

For whoever watches Gatebook.
{_MADE}

`GET /metrics` answers in the text format of Prometheus. The figures count from the start of
`gatebook serve`; of several workers of one `serve` they are added up, whichever answers. Labels are
closed sets, and never name a user. A histogram `NAME` is exposed as `NAME_bucket`, `NAME_sum` and
`NAME_count`.

| name | kind | labels | what |
| --- | --- | --- | --- |
{rows}"""


def figures() -> Iterator[tuple[str, str, str, str]]:
    """Each figure's name as exposed, kind, labels and text."""
    metrics = Metrics()
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            name = each._name + ("_total" if each._type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in each._labelnames) or "–"
            yield name, str(each._type), labels, each._documentation


def model_page() -> str:
    """Every command and every view, and what they are tied to."""
    found = model()
    commands = "".join(
        f"\n### {each.label}\n\n{each.says} Leads to {_events(found.targets(each))}.\n"
        for each in found.commands
    )
    views = "".join(
        f"\n### {each.label}\n\n{each.says} {_MODES[each.note]}\n\n"
        f"Kept from {_events(found.sources(each))}.\n\nRead by {_coded(found.read_by(each))}.\n"
        for each in found.views
    )
    of_log = _coded(each.label for each in READERS if LOG in each.reads)
    return f"""\
# Model

For whoever wants to know what leads to what.
{_MADE}

A command is a wish. What decides it answers with events, which are facts, or refuses; the events
are the log, and nothing else is kept but what follows from them. A projection keeps a view: tables
that say what is so now. That of the signing keys alone is no table: each process holds it in
memory. `/model` on a running service draws all of this, with how many there are of each event. The
events themselves have [a page of their own](events.md).

## Commands

What each can lead to is read from the rules. It may be nothing, where it is so already.
{commands}
## Views

Who reads them was found by asking a service for everything that it offers, and who reads
`{KEY_RING}` by letting another key take over. {" and ".join(f"`{each}`" for each in PLACES)} read
none: they tell which log this is, and how far each view has come.
{views}
## The log itself

What is in events is read, besides by the rules that decide, by {of_log}.
"""


def _events(names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`](events.md#{anchor(name)})" for name in names)


def _coded(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "events.md": events_page,
    "cli.md": command_line_page,
    "metrics.md": metrics_page,
    "model.md": model_page,
    "http.md": http_page,
    "python-client.md": python_page,
    "javascript-client.md": javascript_page,
    "proofs.md": proofs_page,
}
PICTURE: Final = DOCS / "model.svg"
"""Drawn by `app.web.model.standalone`."""


if __name__ == "__main__":
    for page, render in PAGES.items():
        (REFERENCE / page).write_text(render(), encoding="utf-8")
    PICTURE.write_text(standalone(), encoding="utf-8")
    benchmarks.write()
