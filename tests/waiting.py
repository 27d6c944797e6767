"""Waiting for what somebody else does, and doesn't tell: a service, a server of PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LONGEST: Final = 60.0
"""Seconds. Nothing takes as long: it is for a machine that has much else to do."""
_LOOK_EVERY: Final = 0.02
"""Seconds: what is waited for needs the machine, too."""


def until(look: Callable[[], T], so: Callable[[T], object] = bool) -> T:
    """What `look` finds as soon as that is `so`; a test that waits in vain fails."""
    end = time.monotonic() + LONGEST
    while not so(found := look()):
        assert time.monotonic() < end, found
        time.sleep(_LOOK_EVERY)
    return found
