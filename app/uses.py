"""Which uses of a session are worth a record.

Knows no token and no HTTP: a use is a session's row, a generation and where the request is from.
"""

from __future__ import annotations

from collections.abc import Callable

from app.caller import Caller
from app.opening import Opener, wrapped_key
from domain.commands import UseReason
from domain.policy import Policy
from domain.stream import Origin
from projections.token_lookup import TokenRow


class Uses:
    """Belongs to the event loop. `clock` gives µs; `is_sure` as the writer's."""

    def __init__(
        self,
        opener: Opener,
        policy: Policy,
        is_sure: Callable[[int], bool],
        clock: Callable[[], int],
    ) -> None:
        self._opener = opener
        self._policy = policy
        self._is_sure = is_sure
        self._clock = clock

    def worth_recording(self, row: TokenRow, generation: int, caller: Caller) -> UseReason | None:
        """Why a use is to be recorded, None when it only repeats one that can't be lost."""
        if row.used_generation < generation:
            return "first"
        if self._policy.record_every_use:
            return "every"
        if self.is_elsewhere(row, caller):
            return "elsewhere"
        if self._clock() - row.last_used_at >= self._policy.use_interval:
            return "due"
        # Asked for again, one that is there leads to nothing, and is confirmed with that.
        return None if self._is_sure(row.last_used_at) else "first"

    def is_elsewhere(self, row: TokenRow, caller: Caller) -> bool:
        """Whether the last recorded use came from another address or user agent."""
        last = Origin()
        if row.used_origin is not None:
            self._opener.at(row.store_generation)
            key = wrapped_key(row.master_id, row.wrapped, row.user_key)
            last = self._opener.origin(row.user_key, key, row.used_origin)
        return last != caller.origin
