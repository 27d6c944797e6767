"""The model as a graph: what there is, in columns, and what leads to what.

Made from the code alone: commands and events from `domain`, which leads to which from the rules,
views from the registry and from what a process folds for itself, readers from
`app.web.model.readers`. Knows no picture.
"""

from __future__ import annotations

import inspect
from collections import Counter
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from app.tokens import key_ring
from app.web.model.leading import every_command, folded, leads_to
from app.web.model.readers import KEY_RING, LOG, READERS
from domain import signing_keys
from domain.catalogue import EVENTS
from domain.commands import Command
from projections.live import newest
from projections.registry import PROJECTIONS

Kind = Literal["command", "event", "view", "reader"]
FAMILIES: Final = ("user", "refresh_token", "signing_key", "log")
"""Of events: the noun that their names begin with."""
MEMORY: Final = "memory"
"""The note of a view that no table keeps."""


class Node(NamedTuple):
    """Something in a column; `says` is what the source says of it, `family` an event's noun.

    The `note` of a view says how it is kept: a projection's mode, or in memory.
    Readers of the same things are one node, whose label has a line for each.
    """

    key: str
    kind: Kind
    label: str
    says: str
    family: str = ""
    note: str = ""


class Edge(NamedTuple):
    """What leads to what, by their keys; `family` is that of the event that goes along."""

    source: str
    target: str
    family: str = ""


class Model(NamedTuple):
    """Everything, each column in the order in which it is shown."""

    commands: tuple[Node, ...]
    events: tuple[Node, ...]
    views: tuple[Node, ...]
    readers: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def sources(self, node: Node) -> tuple[str, ...]:
        """The labels of what leads to it."""
        return tuple(self._label(each.source) for each in self.edges if each.target == node.key)

    def targets(self, node: Node) -> tuple[str, ...]:
        """The labels of what it leads to."""
        return tuple(self._label(each.target) for each in self.edges if each.source == node.key)

    def read_by(self, view: Node) -> tuple[str, ...]:
        """Everybody who reads a view."""
        return tuple(each.label for each in READERS if view.label in each.reads)

    def _label(self, key: str) -> str:
        return key.partition(":")[2]


@lru_cache(maxsize=1)
def model() -> Model:
    """The model of this release."""
    events = tuple(
        Node(f"event:{name}", "event", name, first_sentence(cls), family)
        for family in FAMILIES
        for name, cls in EVENTS.items()
        if name.partition(".")[0] == family
    )
    places = {each.label: place for place, each in enumerate(events)}
    leading = {cls: tuple(each.name for each in leads_to(cls)) for cls in every_command()}
    own = _own(leading)
    commands = tuple(
        Node(f"command:{cls.__name__}", "command", cls.__name__, first_sentence(cls), family)
        for cls in sorted(leading, key=lambda cls: places[own[cls]])
        for family in [own[cls].partition(".")[0]]
    )
    views = tuple(
        Node(
            f"view:{each.name}",
            "view",
            each.name,
            first_sentence(inspect.getmodule(type(each))),
            "",
            each.mode,
        )
        for each in newest(PROJECTIONS)
    )
    ring = Node(f"view:{KEY_RING}", "view", KEY_RING, first_sentence(key_ring), "", MEMORY)
    readers = tuple(
        Node(_group(reads), "reader", "\n".join(labels), "") for reads, labels in alike().items()
    )
    return Model(commands, events, (*views, ring), readers, (*_led(leading), *_wanted(), *_read()))


def _led(leading: dict[type[Command], tuple[str, ...]]) -> tuple[Edge, ...]:
    return tuple(
        Edge(f"command:{cls.__name__}", f"event:{name}", name.partition(".")[0])
        for cls, names in leading.items()
        for name in names
    )


def _wanted() -> tuple[Edge, ...]:
    kept = {each.name: each.wants for each in newest(PROJECTIONS)}
    kept[KEY_RING] = frozenset(folded(signing_keys.evolve))
    return tuple(
        Edge(f"event:{name}", f"view:{view}", name.partition(".")[0])
        for view, wants in kept.items()
        for name, cls in EVENTS.items()
        if cls in wants
    )


def _read() -> tuple[Edge, ...]:
    return tuple(
        Edge(name if name == LOG else f"view:{name}", _group(reads))
        for reads in alike()
        for name in reads
    )


def alike() -> dict[tuple[str, ...], list[str]]:
    """The readers by what they read: those who read the same stand together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for each in READERS:
        found.setdefault(each.reads, []).append(each.label)
    return found


def _group(reads: tuple[str, ...]) -> str:
    return f"reader:{' '.join(reads)}"


def _own(leading: dict[type[Command], tuple[str, ...]]) -> dict[type[Command], str]:
    """The event that is most a command's own: the one that the fewest others lead to."""
    led = Counter(name for names in leading.values() for name in names)
    return {cls: min(names, key=lambda name: led[name]) for cls, names in leading.items()}


def first_sentence(thing: object) -> str:
    """What the source says of a class, first of all."""
    paragraph = inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.split())
