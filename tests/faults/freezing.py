"""Processes of PostgreSQL that freeze: the connections to them stay, and say nothing.

Knows no property.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OURS: Final = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'gatebook' AND datname = current_database()"""


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """They stand still meanwhile."""
    with ExitStack() as thawing:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            thawing.callback(os.kill, pid, signal.SIGCONT)
        yield


def backends(url: str) -> set[int]:
    """Of the service; one ends a moment after its connection was closed."""
    with intrude(url) as intruder:
        return {pid for (pid,) in intruder.run(OURS) if isinstance(pid, int)}
