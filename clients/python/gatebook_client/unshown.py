"""A `repr` that leaves secrets out, wherever one is asked for: `repr`, logs, pretty-printers.

Knows nothing of what is shown.
"""

from __future__ import annotations


class Unshown:
    """Shows what `_shown` names, and nothing else; the first base, before `msgspec.Struct`."""

    __slots__ = ()

    def _shown(self) -> list[tuple[str, object]]:
        return []

    def __repr__(self) -> str:
        """Without secrets and tokens."""
        shown = ", ".join(f"{name}={value!r}" for name, value in self._shown())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """What pretty-printers show."""
        return self._shown()
