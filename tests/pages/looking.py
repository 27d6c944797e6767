"""Looking at a page as everybody sees it, wide and narrow, light and dark, and as axe does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from zlib import crc32

import pytest

from tests.pages.browsing import NARROW, WIDE

if TYPE_CHECKING:
    from tests.pages.browsing import Window

Looks = Literal["one", "each"]
"""In how many of the ways."""

WAYS: Final = ((NARROW, False), (NARROW, True), (WIDE, False), (WIDE, True))
"""Widths in pixels, and whether it is dark."""
LOOKS: Final = ["one", pytest.param("each", marks=pytest.mark.long)]
"""Each test of looks goes once through its pages; the short form has one way for each page."""


def check(window: Window, name: str, looks: Looks) -> None:
    """Nothing is in anybody's way; a picture of each look is kept."""
    window.page.locator("#live[data-state=connected]").wait_for()
    one = (WAYS[crc32(name.encode()) % len(WAYS)],)
    for width, dark in WAYS if looks == "each" else one:
        window.page.set_viewport_size({"width": width, "height": 800})
        window.page.emulate_media(color_scheme="dark" if dark else "light")
        shade = "dark" if dark else "light"
        window.shot(f"{name}-{width}-{shade}")
        assert window.violations() == [], (name, width, shade)
        assert not window.sticks_out(), (name, width, shade)
