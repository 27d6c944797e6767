"""What is the same in every picture of the model: headings, the log's frame, curves and boxes.

SVG with classes for all that a style sheet decides. Knows no colour and no address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from app.web.model.layout import LEFT, LINE, TOP, Box, Curve, Frame, Layout

TITLE: Final = "The model of Gatebook"
TELLS: Final = (
    "Four columns, from left to right. Commands, which are wishes, lead to events, which are facts "
    "in the log. Projections keep views of the events, and requests and commands read the views."
)
INSET: Final = 12
"""From a box's side to its text."""

_HEADS: Final = {
    "command": ("Commands", "what is wished for"),
    "event": ("Events", "what happened, for ever"),
    "view": ("Projections", "views of what is so now"),
    "reader": ("Read by", "requests and commands"),
}
_LOG: Final = "the log: only ever added to, and chained"
_TEXTS: Final = {"command": "wish", "event": "fact", "view": "known", "reader": "ask"}
_ARROW: Final = 62
"""From the head of a column to the left, where the arrow to it begins."""


def ground(found: Layout) -> Iterator[str]:
    """What lies below the boxes."""
    for kind, (name, what) in _HEADS.items():
        x = LEFT[kind]
        if kind != "command":
            yield f'<path class="way" d="M{x - _ARROW} 46h34m-7-6l7 6l-7 6"/>\n'
        yield text("head", x, 52, name) + "\n"
        yield text("soft", x, 72, what) + "\n"
    yield _frame(found.frame)
    yield from map(_curve, found.curves)


def _frame(frame: Frame) -> str:
    size = f'x="{frame.x}" y="{n(frame.y)}" width="{frame.width}" height="{n(frame.height)}"'
    named = text("soft small", LEFT["event"], TOP - 17, _LOG)
    return f'<rect class="frame" {size} rx="10"/>\n{named}\n'


def _curve(curve: Curve) -> str:
    (x, y), (to_x, to_y) = curve.begin, curve.end
    half = (x + to_x) / 2
    points = (x, y, half, y, half, to_y, to_x, to_y)
    path = "M{} {}C{} {} {} {} {} {}".format(*map(n, points))
    ends = f"data-from={quoteattr(curve.edge.source)} data-to={quoteattr(curve.edge.target)}"
    return f'<path class="tie{_of(curve.edge.family)}" {ends} d="{path}"/>\n'


def outline(box: Box) -> str:
    """The box itself, with its mark."""
    size = f'x="{box.x}" y="{n(box.y)}" width="{box.width}" height="{box.height}"'
    mark = f"M{box.x} {n(box.y + 4)}v{box.height - 8}"
    return f'<rect class="box" {size} rx="6"/><path class="mark{_of(box.node.family)}" d="{mark}"/>'


def labels(box: Box) -> list[str]:
    """What stands in the box, a text for each line of its label."""
    kind = _TEXTS[box.node.kind]
    return [
        text(kind, box.x + INSET, box.y + 16.5 + LINE * place, label)
        for place, label in enumerate(box.node.label.split("\n"))
    ]


def titled(box: Box) -> str:
    """What the source says of it, for those who ask; readers say it themselves."""
    says = box.node.says.replace("`", "")
    return f"<title>{escape(box.node.label)}: {escape(says)}</title>" if says else ""


def text(looks: str, x: float, y: float, content: str, more: str = "") -> str:
    """A line of text."""
    return f'<text class="{looks}" x="{n(x)}" y="{n(y)}"{more}>{escape(content)}</text>'


def n(number: float) -> str:
    """A number, no longer than it need be."""
    return f"{number:.1f}".removesuffix(".0")


def _of(family: str) -> str:
    return f" of-{family}" if family else ""
