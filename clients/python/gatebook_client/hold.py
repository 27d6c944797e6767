"""How long what has failed isn't tried again: longer each time, whatever the reason.

Knows the kinds of errors, and nothing of what is tried.
"""

from __future__ import annotations

import time
from typing import Final

from gatebook_client.errors import GatebookError, ReauthenticationRequired, TryLater

HOLD: Final = 30.0
LONGEST_HOLD: Final = 900.0
"""Seconds for which what was refused isn't tried again; twice as long each time."""
FIRST: Final = 1.0
LONGEST_LATER: Final = 5.0
"""… what was away: each try waits for the service's return itself, and it may be back."""
LONGEST_FAILURE: Final = 60.0
"""… what failed in any other way."""
_MOST_TURNS: Final = 16


class HoldOff:
    """Written by one thread at a time, read by any."""

    def __init__(self) -> None:
        self._failed: tuple[Exception, float] | None = None
        self._kind: object = None
        self._turn = 0

    @property
    def error(self) -> Exception | None:
        """What is raised instead of trying, a new one each time; None when it may be tried.

        A traceback grows whenever its exception is raised, and one that is kept would for ever.
        """
        failed = self._failed
        if failed is None or time.monotonic() >= failed[1]:
            return None
        return _fresh(failed[0])

    @property
    def over(self) -> bool:
        """Whether it may be tried."""
        return self._failed is None or time.monotonic() >= self._failed[1]

    def failed(self, error: Exception) -> None:
        """Don't try for a while."""
        first, longest = FIRST, LONGEST_FAILURE
        if isinstance(error, ReauthenticationRequired):
            first, longest = HOLD, LONGEST_HOLD
        elif isinstance(error, TryLater):
            longest = LONGEST_LATER
        self._turn = min(self._turn + 1, _MOST_TURNS) if self._kind == longest else 0
        self._kind = longest
        wait = min(first * 2.0**self._turn, longest)
        if isinstance(error, TryLater) and error.retry_after is not None:
            wait = error.retry_after
        self._failed = _fresh(error), time.monotonic() + wait

    def worked(self) -> None:
        """Try whenever it is needed."""
        self._failed, self._kind, self._turn = None, None, 0


def _fresh(error: Exception) -> Exception:
    return error.again() if isinstance(error, GatebookError) else error.with_traceback(None)
