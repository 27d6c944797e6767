"""Looking at a page as everybody sees it, wide and narrow, light and dark, and as axe does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from zlib import crc32

import pytest

from tests.pages.browsing import NARROW, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pages.browsing import Window

Looks = Literal["one", "each"]
"""In how many of the ways."""

WAYS: Final = ((NARROW, False), (NARROW, True), (WIDE, False), (WIDE, True))
"""Widths in pixels, and whether it is dark."""
LOOKS: Final = ["one", pytest.param("each", marks=pytest.mark.long)]
"""Each test of looks goes through all its pages; the short form looks at half, in one way each."""


def check(window: Window, name: str, looks: Looks) -> None:
    """Nothing is in anybody's way; a picture is kept of each look where there are all."""
    window.page.locator("#live[data-state=connected]").wait_for()
    # Those past the last way are looked at in the long form alone.
    drawn = crc32(name.encode()) % (2 * len(WAYS))
    for way in turned(window, WAYS if looks == "each" else WAYS[drawn : drawn + 1]):
        if looks == "each":
            window.shot(f"{name}-{way}")
        assert window.violations() == [], (name, way)
        assert not window.sticks_out(), (name, way)


def check_text(window: Window, name: str, beside: str) -> None:
    """The same in all ways, but axe doesn't look again at what stands `beside` the text."""
    window.page.locator("#live[data-state=connected]").wait_for()
    for way in turned(window):
        window.shot(f"{name}-{way}")
        assert not window.sticks_out(), (name, way)
    window.page.eval_on_selector_all(beside, "all => all.forEach((each) => each.remove())")
    for way in turned(window):
        assert window.violations() == [], (name, way)


def turned(window: Window, ways: tuple[tuple[int, bool], ...] = WAYS) -> Iterator[str]:
    """Show the page in one way after another; how it is shown, in a word."""
    for width, dark in ways:
        shade: Literal["dark", "light"] = "dark" if dark else "light"
        window.page.set_viewport_size({"width": width, "height": 800})
        window.page.emulate_media(color_scheme=shade)
        yield f"{width}-{shade}"
