"""How many streams a source may have open at a time.

Knows no stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from domain.errors import TooManyAttempts

RETRY_AFTER: Final = 5
"""Seconds after which a source with too many streams may ask again."""


class Streams:
    """The open streams of one kind, by source; at most `most` each. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open.total()

    @contextmanager
    def opened(self, source: str) -> Iterator[None]:
        """One more, for as long as it lasts.

        Raises `TooManyAttempts` when the source has as many as it may.
        """
        if self._open[source] >= self._most:
            raise TooManyAttempts(RETRY_AFTER)
        self._open[source] += 1
        try:
            yield
        finally:
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]
