"""What can be wished: one frozen Struct a command, imperative.

A command carries everything random or secret that its events will hold; it knows no time.
`stream` is the aggregate that decides it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from domain.events import KeyAlgorithm, LoggedInBy, RevokedWhy
from domain.sealed import Clear
from domain.stream import LOG, SIGNING_KEYS

UseReason = Literal["first", "elsewhere", "due", "every"]


class Command(msgspec.Struct, frozen=True):
    """A wish."""

    @property
    def stream(self) -> str:
        """The stream whose state decides."""
        raise NotImplementedError


class UserCommand(Command, frozen=True):
    """A wish about one user."""

    user_key: str

    @property
    def stream(self) -> str:
        """The user's own stream."""
        return self.user_key


class RegisterUser(UserCommand, frozen=True):
    """Take a name and a secret. The name is free when this is decided."""

    user_id: Clear
    secret_hash: Clear


class StartSession(UserCommand, frozen=True):
    """Begin a session for somebody whose secret was right at `secret_version`."""

    session_id: str
    by: LoggedInBy
    secret_version: int


class RecordUse(UserCommand, frozen=True):
    """Record a use of a refresh token that was found good, for a reason.

    `seen_at` is the last recorded use (µs) that the reason was found against: when there is a
    later one, the reason has to be found again. None holds in any case.
    """

    session_id: str
    generation: int
    reason: UseReason
    seen_at: int | None = None


class EndSession(UserCommand, frozen=True):
    """End one session."""

    session_id: str
    why: RevokedWhy


class SetPermissions(UserCommand, frozen=True):
    """Give the user exactly these permissions."""

    permissions: tuple[str, ...]


class GrantPermissions(UserCommand, frozen=True):
    """Give the user these permissions too."""

    permissions: tuple[str, ...]


class WithdrawPermissions(UserCommand, frozen=True):
    """Take these permissions away."""

    permissions: tuple[str, ...]


class RecordFailedLogins(UserCommand, frozen=True):
    """Record how many wrong secrets were shown, and when (µs)."""

    count: int
    first_at: int
    last_at: int


class SigningKeyCommand(Command, frozen=True):
    """A wish about the signing keys."""

    @property
    def stream(self) -> str:
        """The one stream of all signing keys."""
        return SIGNING_KEYS


class AddSigningKey(SigningKeyCommand, frozen=True):
    """Publish a new key; the first one signs at once."""

    kid: str
    algorithm: KeyAlgorithm
    public_jwk: dict[str, str]


class OpenLog(Command, frozen=True):
    """Begin the log."""

    log_id: str

    @property
    def stream(self) -> str:
        """The log's own stream."""
        return LOG
