"""Where everything in the picture stands: boxes in four columns, and the points of the curves.

Each box stands as near as it may to what it is tied to on its left. Knows no SVG, and measures
in the picture's own units, which are pixels where it isn't scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from app.web.model.graph import Edge, Model, Node, model
from app.web.model.readers import LOG

WIDTH: Final = 1200
ROW: Final = 24
"""The height of a box."""
LINE: Final = 20
"""From one line in a box to the next."""
PITCH: Final = 30
"""From one event to the next."""
GAPS: Final = {"command": 6, "event": 6, "view": 32, "reader": 14}
"""What is left free between two boxes of a column, at least."""
TOP: Final = 134
"""Of the first box."""
FAMILY_GAP: Final = 12
"""Between two families of events."""
LOG_LEAVES: Final = 40
"""How far above the frame's foot the log is read from."""
LOG_PULLS: Final = 20
"""How far above it whoever reads the log would stand."""
MARGIN: Final = 22
"""Between the log's frame and its events."""

LEFT: Final = {"command": 32, "event": 304, "view": 732, "reader": 980}
WIDE: Final = {"command": 172, "event": 290, "view": 168, "reader": 188}


class Box(NamedTuple):
    """A node's place: its upper left corner, and its size."""

    node: Node
    x: int
    y: float
    width: int
    height: int

    @property
    def middle(self) -> float:
        """Half-way down, where curves begin and end."""
        return self.y + self.height / 2


class Curve(NamedTuple):
    """From the right side of one box to the left side of another."""

    edge: Edge
    begin: tuple[float, float]
    end: tuple[float, float]


class Frame(NamedTuple):
    """What stands around the events: the log."""

    x: int
    y: float
    width: int
    height: float


class Layout(NamedTuple):
    """The whole picture."""

    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]
    frame: Frame
    height: int


@lru_cache(maxsize=1)
def layout() -> Layout:
    """The picture of this release's model."""
    found = model()
    events = _events(found.events)
    commands = _beside(found.commands, _own(found, events))
    views = _beside(found.views, _pulled(found.edges, events, found.views))
    frame = _frame(events)
    spots = {
        **{key: box.middle for key, box in views.items()},
        LOG: frame.y + frame.height - LOG_PULLS,
    }
    pulls = {node.key: _reading(found.edges, node, spots) for node in found.readers}
    ordered = sorted(found.readers, key=lambda node: pulls[node.key])
    readers = _beside(ordered, pulls)
    boxes = {**commands, **events, **views, **readers}
    curves = tuple(_curve(each, boxes, frame) for each in found.edges)
    bottom = max(frame.y + frame.height, *(box.y + box.height for box in boxes.values()))
    return Layout(tuple(boxes.values()), curves, frame, round(bottom + 32))


def _events(nodes: Sequence[Node]) -> dict[str, Box]:
    boxes: dict[str, Box] = {}
    y, family = float(TOP), nodes[0].family
    for node in nodes:
        y += FAMILY_GAP if node.family != family else 0
        family = node.family
        boxes[node.key] = Box(node, LEFT["event"], y, WIDE["event"], ROW)
        y += PITCH
    return boxes


def _own(found: Model, events: Mapping[str, Box]) -> dict[str, float]:
    """Of each command the place of the event that is most its own."""
    own = {}
    for node in found.commands:
        led = [each.target for each in found.edges if each.source == node.key]
        fewest = min(led, key=lambda key: sum(each.target == key for each in found.edges))
        own[node.key] = events[fewest].middle
    return own


def _pulled(
    edges: Sequence[Edge], left: Mapping[str, Box], nodes: Sequence[Node]
) -> dict[str, float]:
    spots = {key: box.middle for key, box in left.items()}
    return {node.key: _mean(edges, node, spots) for node in nodes}


def _reading(edges: Sequence[Edge], node: Node, spots: Mapping[str, float]) -> float:
    """Beside the views that it reads, or, whoever reads the log too, with the log's readers."""
    reads_log = any(each.source == LOG and each.target == node.key for each in edges)
    return spots[LOG] if reads_log else _mean(edges, node, spots)


def _mean(edges: Sequence[Edge], node: Node, spots: Mapping[str, float]) -> float:
    """Half-way down of all that leads to it."""
    tied = [spots[each.source] for each in edges if each.target == node.key]
    return sum(tied) / len(tied)


def _beside(nodes: Sequence[Node], wanted: Mapping[str, float]) -> dict[str, Box]:
    """A column whose boxes stand where they are wanted, as far as they don't touch."""
    ordered = sorted(nodes, key=lambda node: wanted[node.key])
    heights = [_height(node) for node in ordered]
    gap = GAPS[ordered[0].kind]
    apart = [(above + below) / 2 + gap for above, below in pairwise(heights)]
    middles = spread([wanted[node.key] for node in ordered], apart)
    shift = max(0.0, TOP + heights[0] / 2 - middles[0])
    return {
        node.key: Box(node, LEFT[node.kind], middle + shift - height / 2, WIDE[node.kind], height)
        for node, middle, height in zip(ordered, middles, heights, strict=True)
    }


def _height(node: Node) -> int:
    """Of a view's box, which says how it is written too, or of as many lines as there are."""
    lines = 2 if node.kind == "view" else node.label.count("\n") + 1
    return ROW + LINE * (lines - 1)


def spread(wanted: Sequence[float], apart: Sequence[float]) -> list[float]:
    """Places at least `apart` from the one before, in order, as near as can be to those wanted.

    Nearest in the sum of squares: those that would touch stand together, about their mean.
    """
    offsets = [0.0, *accumulate(apart)]
    groups: list[list[float]] = []
    for each, offset in zip(wanted, offsets, strict=True):
        groups.append([each - offset])
        while len(groups) > 1 and _middle(groups[-2]) > _middle(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    level = [_middle(group) for group in groups for _ in group]
    return [each + offset for each, offset in zip(level, offsets, strict=True)]


def _middle(group: Sequence[float]) -> float:
    return sum(group) / len(group)


def _frame(events: Mapping[str, Box]) -> Frame:
    first, *_, last = events.values()
    y = first.y - 44
    return Frame(first.x - MARGIN, y, first.width + 2 * MARGIN, last.y + last.height + MARGIN - y)


def _curve(edge: Edge, boxes: Mapping[str, Box], frame: Frame) -> Curve:
    end = boxes[edge.target]
    if edge.source == LOG:
        begin = (float(frame.x + frame.width), frame.y + frame.height - LOG_LEAVES)
    else:
        source = boxes[edge.source]
        begin = (float(source.x + source.width), source.middle)
    return Curve(edge, begin, (float(end.x), end.middle))
