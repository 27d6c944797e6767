"""The pictures of the model: whole, well-formed, with room for everything, and in no page's way."""

from __future__ import annotations

import re
from itertools import combinations, pairwise, product
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tally import Tallied, ViewStanding
from app.web.model.addresses import API, COMMAND_LINE, LOG, MODEL, address
from app.web.model.drawing import INSET
from app.web.model.graph import MEMORY, Node, model
from app.web.model.inlined import IN_MEMORY, inlined, spelled
from app.web.model.layout import WIDTH, Box, Curve, layout, spread
from app.web.model.standalone import standalone
from tests.docs.pages import DOCS, anchors

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = Tallied(
    "log", 9, 9, {"user.registered": 1234567}, (ViewStanding("token_lookup", "live", 12),)
)
FOUND = model()
CLEAR = 4
"""Between a tie and a box that it passes, at least."""
NODES = [*FOUND.commands, *FOUND.events, *FOUND.views, *FOUND.readers]


def below(path: str) -> str:
    return f"/auth{path}"


def page() -> ET.Element:
    """The picture in a page, as a browser takes it apart."""
    return ET.fromstring(inlined(NUMBERS, below))  # noqa: S314 - our own


def test_the_lone_picture_has_everything_and_nothing_of_others() -> None:
    drawn = ET.fromstring(standalone())  # noqa: S314 - our own
    said = [each.text for each in drawn.iter(f"{SVG}text")]
    for node in NODES:
        assert set(node.label.split("\n")) <= set(said), node
    assert len(list(drawn.iter(f"{SVG}style"))) == 1
    assert not re.search(r"href|url\(|<script|@import| on\w+=| style=", standalone())


def test_the_picture_in_a_page_is_what_the_strict_policy_lets_be() -> None:
    """Security rule 24: neither style nor script stands in it."""
    assert not re.search(r"<style|<script| on\w+=| style=|url\(", inlined(NUMBERS, below))
    assert {each.tag for each in page().iter()} == {
        *("svg", "title", "desc", "g", "a", "path", "rect", "text"),
    }


def test_each_tie_is_drawn_once() -> None:
    ties = [(each.get("data-from"), each.get("data-to")) for each in page().iter("path")]
    drawn = [each for each in ties if each != (None, None)]
    assert sorted(drawn) == sorted((each.source, each.target) for each in FOUND.edges)


def test_everything_has_its_name_and_a_place_to_read_about_it() -> None:
    parts = {each.get("data-node"): each for each in page().iter("g")}
    assert set(parts) == {node.key for node in NODES}
    for node in NODES:
        links = [each.get("href", "") for each in parts[node.key].iter("a")]
        wanted = [below(address(node.kind, label)) for label in node.label.split("\n")]
        assert links[: len(wanted)] == wanted
        if node.kind == "event":
            assert links[1:] == [f"/auth{LOG}?type={node.label}"]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.key)
def test_what_is_linked_is_in_the_documentation(node: Node) -> None:
    for label in node.label.split("\n"):
        path, _, anchor = address(node.kind, label).partition("#")
        if path in {API, label}:
            assert not anchor
            continue
        file = DOCS / f"{path.removeprefix('/docs/')}.md"
        assert anchor in anchors(file), (label, path)


def test_the_page_that_tells_of_it_all_is_there() -> None:
    for path in (MODEL, COMMAND_LINE):
        assert Path(f"{DOCS}/{path.removeprefix('/docs/')}.md").is_file()


def test_numbers_stand_where_they_belong() -> None:
    texts = list(page().iter("text"))
    counts = {each.get("data-count"): each.text for each in texts if each.get("data-count")}
    assert counts.keys() == {node.label for node in FOUND.events}
    assert counts["user.registered"] == spelled(1234567) == "1\u202f234\u202f567"
    assert counts["user.erased"] == "0"
    views = {each.get("data-view"): each.text for each in texts if each.get("data-view")}
    assert views.keys() == {node.label for node in FOUND.views if node.note != MEMORY}
    assert [each.text for each in texts].count(IN_MEMORY) == len(FOUND.views) - len(views) == 1
    assert views["token_lookup"] == "12 behind"


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


def test_no_box_is_upon_another_or_outside() -> None:
    found = layout()
    assert not [pair for pair in combinations(found.boxes, 2) if overlap(*pair)]
    for box in found.boxes:
        assert 0 < box.x < box.x + box.width < WIDTH
        assert 0 < box.y < box.y + box.height < found.height


def point(curve: Curve, at: float) -> tuple[float, float]:
    """Of a curve as it is drawn; 0 is where it begins, 1 where it ends."""
    (x, y), (to_x, to_y) = curve.begin, curve.end
    over, along = 3 * at * (1 - at) / 2, at * at * (3 - 2 * at)
    return x + (to_x - x) * (at**3 + over), y + (to_y - y) * along


def test_no_tie_is_hidden_by_a_box() -> None:
    passed = 0
    for curve, box in product(layout().curves, layout().boxes):
        if curve.begin[0] < box.x and box.x + box.width < curve.end[0]:
            passed += 1
            for x, y in (point(curve, step / 50) for step in range(51)):
                across = box.x <= x <= box.x + box.width
                down = box.y - CLEAR <= y <= box.y + box.height + CLEAR
                assert not (across and down), (curve.edge, box.node.key)
    assert passed


def test_every_label_fits_its_box() -> None:
    """7.6 is more than a letter takes on average, in any common face of this size.

    An event has room for the number of a million besides.
    """
    for box in layout().boxes:
        longest = max(map(len, box.node.label.split("\n")))
        number = 52 if box.node.kind == "event" else 0
        assert longest * 7.6 + number <= box.width - 2 * INSET, box.node.label


places = st.lists(st.tuples(st.floats(0, 1000), st.floats(1, 50)), min_size=1, max_size=12)


@given(places)
def test_boxes_spread_no_further_than_they_must(told: list[tuple[float, float]]) -> None:
    wanted = sorted(place for place, _ in told)
    apart = [gap for _, gap in told[1:]]
    found = spread(wanted, apart)
    gaps = [after - before for before, after in pairwise(found)]
    assert all(gap >= least - 1e-6 for gap, least in zip(gaps, apart, strict=True))
    free = [after - before for before, after in pairwise(wanted)]
    if all(gap >= least for gap, least in zip(free, apart, strict=True)):
        assert found == pytest.approx(wanted)
    # As far to one side as to the other: each group stands about its own mean.
    assert sum(found) == pytest.approx(sum(wanted), abs=1e-6)
