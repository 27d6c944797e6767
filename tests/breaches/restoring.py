"""Restores that believe what was so before, or bring back whom nobody may have any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.archive.restoring import Restoring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _keep_sessions() -> None:
    """Sessions of before go on."""
    Restoring._end_all = lambda self, meta, ending: 0  # type: ignore[method-assign]


def _bring_back() -> None:
    """Whoever is to be erased again is counted, and left."""
    Restoring._erase = lambda self, user_key, meta: True  # type: ignore[method-assign]


BEFORE: Final[Mapping[str, Callable[[], None]]] = {
    "KEEP_SESSIONS": _keep_sessions,
    "BRING_BACK": _bring_back,
}
