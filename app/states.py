"""The states of streams, brought up to what is newer in the log.

Knows no rule: an event is folded by the aggregate that its stream belongs to.
"""

from __future__ import annotations

from typing import Any

import structlog

from app.eventstore.log import read_newer
from domain.aggregate import aggregate_of
from domain.catalogue import UnknownEvent
from domain.errors import Damage, Unavailable
from projections.storage import Rows

_logger = structlog.get_logger("gatebook.writer")


def advanced(rows: Rows, states: dict[str, Any], broken: dict[str, Exception]) -> dict[str, Any]:
    """The states after what is newer in the log; streams that can't be read go to `broken`."""
    newest = dict(states)
    for record in read_newer(rows, {each: state.version for each, state in states.items()}):
        stream = record.stream
        if stream in broken:
            continue
        try:
            newest[stream] = aggregate_of(stream).evolve(newest[stream], record.recorded())
        except UnknownEvent:
            _logger.exception("unknown_event", stream=stream)
            broken[stream] = Unavailable("A newer release has written here. Upgrade this process.")
        except Damage as error:
            _logger.exception("damaged_event", stream=stream)
            broken[stream] = error
    return {each: state for each, state in newest.items() if each not in broken} | {
        each: states[each] for each in broken
    }
