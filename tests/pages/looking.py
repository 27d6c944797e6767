"""Looking at a page as everybody sees it, wide and narrow, light and dark, and as axe does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.pages.browsing import NARROW, WIDE

if TYPE_CHECKING:
    from tests.pages.browsing import Window

Looks = tuple[tuple[int, bool], ...]
"""Widths in pixels, and whether it is dark."""

LOOKS: Final = [
    pytest.param(((WIDE, False), (NARROW, True)), id="wide and light, narrow and dark"),
    pytest.param(
        ((WIDE, True), (NARROW, False)),
        id="wide and dark, narrow and light",
        marks=pytest.mark.long,
    ),
]
"""Each test of looks goes once through its pages, and looks at each of them in two ways."""


def check(window: Window, name: str, looks: Looks) -> None:
    """Nothing is in anybody's way; a picture of each look is kept."""
    window.page.locator("#live[data-state=connected]").wait_for()
    for width, dark in looks:
        window.page.set_viewport_size({"width": width, "height": 800})
        window.page.emulate_media(color_scheme="dark" if dark else "light")
        shade = "dark" if dark else "light"
        window.shot(f"{name}-{width}-{shade}")
        assert window.violations() == [], (name, width, shade)
        assert not window.sticks_out(), (name, width, shade)
