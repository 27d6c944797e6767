"""Whom the stand-in knows, and their sessions: which refresh token is good, and what follows it.

Knows neither access tokens nor requests.
"""

from __future__ import annotations

import time
from typing import Final

import msgspec

RETRY_WINDOW: Final = 60.0
"""Seconds for which who lost the answer to a rotation gets the same successor."""
_GENERATION: Final = slice(26, 32)


class FakeUser(msgspec.Struct):
    """Somebody whom the stand-in knows."""

    user_key: str
    user_id: str
    user_secret: str
    permissions: list[str]


class FakeSession(msgspec.Struct):
    """One session, and which of its refresh tokens is the newest."""

    session_id: str
    user_key: str
    started_at: int
    generation: int = 1
    rotated_at: float = 0.0
    """Monotonic."""
    used: bool = True
    """Whether the newest refresh token was shown."""
    ended: bool = False

    def refresh_token(self, generation: int) -> str:
        """One of the service's form, though its check digits are none."""
        mac = self.session_id.ljust(43, "x")
        return f"gbr_{self.session_id}{generation:06d}{mac}000000"

    def generation_of(self, token: str) -> int | None:
        """Which of the session's refresh tokens it is; None when it is none."""
        digits = token[_GENERATION]
        found = int(digits) if digits.isascii() and digits.isdigit() else 0
        real = 0 < found <= self.generation and token == self.refresh_token(found)
        return found if real else None

    def rotate(self) -> None:
        """Have another refresh token from now on."""
        self.generation, self.rotated_at, self.used = self.generation + 1, time.monotonic(), False

    def present(self, shown: int) -> str | None:
        """Use the refresh token of a generation; why it is refused, or None.

        The one before the newest is good until that is used, for a while: the answer that told of
        the newest may have been lost.
        """
        if shown == self.generation:
            self.used = True
            return None
        age = time.monotonic() - self.rotated_at
        again = shown == self.generation - 1 and not self.used and age < RETRY_WINDOW
        return None if again else "reused"
