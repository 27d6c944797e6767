"""The picture within a page: everything a link, with the counts of the moment.

Looks as the page's style sheet says; what `model.js` lights and counts has its name in `data-`
attributes. Knows no request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from xml.sax.saxutils import quoteattr

from app.tally import Tallied, ViewStanding
from app.web.model.addresses import address, log_of
from app.web.model.drawing import INSET, TELLS, TITLE, ground, labels, n, outline, text, titled
from app.web.model.graph import MEMORY
from app.web.model.layout import WIDTH, Box, layout

IN_MEMORY: Final = "held in memory"
"""How far a view is that has no table: read anew once it is out of date."""

Url = Callable[[str], str]


def inlined(tallied: Tallied, url: Url) -> str:
    """The SVG; `url` says where a path of the service is found."""
    found = layout()

    def box(each: Box) -> str:
        return _box(each, tallied, url)

    return (
        f'<svg class="model" width="{WIDTH}" height="{found.height}" '
        f'viewBox="0 0 {WIDTH} {found.height}" role="group" aria-labelledby="model-title" '
        f'aria-describedby="model-tells">\n<title id="model-title">{TITLE}</title>\n'
        f'<desc id="model-tells">{TELLS}</desc>\n'
        f"{''.join(ground(found))}{''.join(map(box, found.boxes))}</svg>\n"
    )


def standing(view: ViewStanding) -> str:
    """How far a view is, in words."""
    if view.state == "stalled":
        return "stands still"
    if view.lag == 0:
        return "up to date"
    return f"{spelled(view.lag)} behind"


def spelled(number: int) -> str:
    """A number for people."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _box(box: Box, tallied: Tallied, url: Url) -> str:
    node = box.node
    name = f'<g class="node" data-node={quoteattr(node.key)}>'
    if node.kind == "reader":
        lines = zip(node.label.split("\n"), labels(box), strict=True)
        asks = "".join(_link(url(address("reader", label)), drawn) for label, drawn in lines)
        return f"{name}{outline(box)}{asks}</g>\n"
    drawn = f"{titled(box)}{outline(box)}{''.join(labels(box))}"
    if node.kind == "view":
        states = {each.name: standing(each) for each in tallied.views}
        said = IN_MEMORY if node.note == MEMORY else states.get(node.label, "")
        state = "" if node.note == MEMORY else f' data-view="{node.label}"'
        drawn += text("soft small", box.x + INSET, box.y + 35, said, state)
    linked = _link(url(address(node.kind, node.label)), drawn)
    if node.kind == "event":
        linked += _count(box, tallied, url)
    return f"{name}{linked}</g>\n"


def _count(box: Box, tallied: Tallied, url: Url) -> str:
    """How many there are, which leads to them; there is room for millions."""
    topic = box.node.label
    number = text(
        "count",
        box.x + box.width - INSET,
        box.y + 16.5,
        spelled(tallied.counts.get(topic, 0)),
        f' data-count="{topic}"',
    )
    room = (
        f'<rect class="room" x="{box.x + box.width - 62}" y="{n(box.y)}" width="62" height="24"/>'
    )
    return _link(url(log_of(topic)), f"<title>{topic} in the log</title>{room}{number}")


def _link(to: str, drawn: str) -> str:
    return f"<a href={quoteattr(to)}>{drawn}</a>"
