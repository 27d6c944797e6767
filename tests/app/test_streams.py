"""How many streams a source may have open: so many, and exactly so many."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from app.streams import RETRY_AFTER, Streams
from domain.errors import TooManyAttempts


def test_a_source_has_so_many_and_another_its_own() -> None:
    streams = Streams(2)
    with ExitStack() as opened:
        for source in ("a", "a", "b"):
            opened.enter_context(streams.opened(source))
        with pytest.raises(TooManyAttempts) as refused, streams.opened("a"):
            pass
        assert refused.value.retry_after == RETRY_AFTER
        assert streams.count == 3
    assert streams.count == 0
    with streams.opened("a"):
        assert streams.count == 1
