"""The secrets of one person: the one that is right, as far as the person knows.

A change that nobody heard the end of leaves two of them. None is used a second time. Knows no
service.
"""

from __future__ import annotations

from typing import Final

from tests.simulation.family import DECIDED_S, LATE_S

_FIRST: Final = "walnut orbit teacup"
_PENDING_S: Final = LATE_S + DECIDED_S


class Secrets:
    """From the oldest that may be right to the newest; times in seconds of the loop."""

    def __init__(self) -> None:
        self.perhaps_alive = False
        """Somebody may be registered with the secret of the next life."""
        self._count = 0
        self._held = [_FIRST]
        self._asked_at = 0.0
        self._next_life = ""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def newest(self) -> str:
        return self._held[-1]

    @property
    def next_life(self) -> str:
        """The one to register with again, until that is done."""
        self._next_life = self._next_life or self._fresh()
        return self._next_life

    def tried(self, refused: int) -> str:
        """Which to show next, after so many were refused."""
        return self._held[-1 - refused % len(self._held)]

    def change(self, now: float) -> tuple[str, str]:
        """The one until now and a new one, which is asked for."""
        old = self.newest
        self._held.append(self._fresh())
        self._asked_at = now
        return old, self.newest

    def changed(self, secret: str) -> None:
        """The change to this one is done."""
        if secret in self._held:
            self._held = [secret]

    def proved(self, secret: str, sent_at: float) -> None:
        """One was right when it was sent, so that none before it is, ever again."""
        if secret in self._held:
            self._held = self._held[self._held.index(secret) :]
            if sent_at > self._asked_at + _PENDING_S:
                self._held = self._held[:1]

    def begin_again(self) -> None:
        """Somebody new is registered, with the secret of the next life."""
        self._held, self._next_life = [self.next_life], ""
        self.perhaps_alive = False

    def _fresh(self) -> str:
        self._count += 1
        return f"{_FIRST} {self._count}"
