"""How a long proof becomes a short test: the same code, tried a few times.

Knows no property.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def holds(proof: ModuleType, url: str) -> None:
    """Try a property on a new store; nothing may be wrong, and every control must be noticed."""
    tally = proof.prove(url, proof.SHORT)
    assert tally.first == [], tally.first
    assert tally.violations == 0, tally.violations
    assert tally.tried == proof.SHORT, tally.tried
    assert tally.controls
    assert all(tally.controls.values()), [tally.controls, *tally.lines]


def is_short_form(test: Callable[..., object]) -> bool:
    """Whether a test tries a long proof by `holds`."""
    names = test.__globals__, test.__code__.co_names
    return "holds" in names[1] and names[0].get("holds") is holds
