"""Tokens that a program holds for now: from when on they are renewed, and no longer sent.

Knows neither how they are got nor the service's clock.
"""

from __future__ import annotations

import hashlib
import time
from typing import Final

import msgspec

from gatebook_client.tokens import Tokens, read_times
from gatebook_client.unshown import Unshown

MARGIN: Final = 60.0
"""Seconds before its end at which a token is renewed; at most a fifth of its life."""
OF_LIFE: Final = 5
_OF_MARGIN: Final = 4
"""The last part of the margin, in which a token isn't sent any more: it has to arrive, too."""


class Held(Unshown, msgspec.Struct, frozen=True):
    """Tokens; when, on the monotonic clock, they were got, get old, and are over."""

    tokens: Tokens
    got: float
    old: float
    over: float
    forgets: int = 0
    """How often tokens had been forgotten when these were asked for."""

    def _shown(self) -> list[tuple[str, object]]:
        return [("tokens", self.tokens)]

    @property
    def life(self) -> float:
        """Seconds from when they were got until they are over."""
        return self.over - self.got

    @property
    def mark(self) -> str:
        """What the access token is known again by, and nobody can use."""
        return hashlib.sha256(self.tokens.access_token.encode()).hexdigest()


def held_for(tokens: Tokens, left: float, margin: float = MARGIN) -> Held:
    """Tokens of which `left` seconds are left, renewed `margin` seconds before the end."""
    times, now = read_times(tokens.access_token), time.monotonic()
    over = now + left
    margin = min(margin, (times.exp - times.iat) / OF_LIFE)
    return Held(tokens, now, over - margin, over - margin / _OF_MARGIN)
