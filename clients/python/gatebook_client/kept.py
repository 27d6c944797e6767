"""What is kept of tokens between runs: whose they are, and for how long the access token is good.

Knows neither the file that it is kept in nor what is sent to the service.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

from gatebook_client.unshown import Unshown

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SINCE_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 1))


class Kept(Unshown, msgspec.Struct, frozen=True, omit_defaults=True):
    """The newest tokens of a user at a service, or nothing.

    `left` seconds of the access token were left when it was written: at `at` on the clock of the
    wall, and `up` seconds after the machine was started for the run named `boot`.
    """

    access_token: str | None = None
    refresh_token: str | None = None
    url: str | None = None
    identity: str | None = None
    left: float | None = None
    at: float | None = None
    up: float | None = None
    boot: str | None = None
    spent: str | None = None
    """The session whose given refresh token was replaced, and the new one forgotten."""

    @property
    def tokens(self) -> tuple[str | None, str | None]:
        """Both, to see whether they are other ones."""
        return self.access_token, self.refresh_token

    def _shown(self) -> list[tuple[str, object]]:
        token = "…" if self.access_token else None
        return [("access_token", token), ("url", self.url), ("identity", self.identity)]

    def dated(self, left: float) -> Kept:
        """The same, written now, when so many seconds of the access token are left."""
        boot, up = _since_boot()
        return msgspec.structs.replace(
            self, left=round(left, 3), at=round(time.time(), 3), up=up, boot=boot
        )

    @property
    def still_left(self) -> float:
        """Seconds of the access token that are left; 0 when that can't be told.

        The clock of the wall may have been set meanwhile, even while it was wrong by hours: it
        counts only when the machine has been started again, or was another one.
        """
        if self.left is None or self.at is None:
            return 0.0
        boot, up = _since_boot()
        if boot is not None and boot == self.boot and self.up is not None and up is not None:
            age = up - self.up
        else:
            age = time.time() - self.at
        return max(0.0, self.left - age) if age >= 0 else 0.0


def _since_boot() -> tuple[str | None, float | None]:
    """Which run of the machine this is, and for how many seconds it has been on; if it says so."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        return boot or None, round(time.clock_gettime(_SINCE_BOOT), 3)
    except (OSError, ValueError, AttributeError):
        return None, None
