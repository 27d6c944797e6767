"""A view as the log says that it is at a position that was left behind.

A following view that stopped, or any that missed events, stands there: it is compared with the log
up to there. What is folded is in no database. Knows no view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from projections.naming import AS_WRITTEN
from projections.projection import Projection
from projections.runner import SPAN, Feed, portion, write
from projections.storage import Rows
from projections.storage_scratch import scratch


@contextmanager
def standing(
    log: Rows, feed: Feed, projection: Projection, position: int, told: Callable[[int], None]
) -> Iterator[Rows]:
    """Its rows, called as code calls them; `told` hears of each step.

    The log can be applied up to there: whoever asks has done so already.
    """
    with scratch() as rows:
        for statement in projection.tables:
            rows.define(statement)
        reached = 0
        while reached < position:
            span = min(SPAN, position - reached)
            what = portion(projection, feed.after(log, reached, span, projection.wants))
            write(rows, AS_WRITTEN, what.statements)
            told(what.reached - reached)
            reached = what.reached
        yield rows
