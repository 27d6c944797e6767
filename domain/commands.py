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

    @property
    def asking(self) -> str | None:
        """The user who asks, where it counts what that one may do."""
        return None


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


class RotateToken(UserCommand, frozen=True):
    """Retire a refresh token that was found to be the session's current one."""

    session_id: str
    generation: int


class PresentRetired(UserCommand, frozen=True):
    """Show a refresh token that was found to be retired: a repeat, a duplicate or a reuse.

    `elsewhere` says that a repeat is worth a record: it came from another place than the last
    recorded use, which was at `seen_at` (µs). When there is a later one, that has to be found
    again. None holds in any case. One for which a use is due is worth a record wherever it is from.
    """

    session_id: str
    generation: int
    elsewhere: bool
    seen_at: int | None


class EndSession(UserCommand, frozen=True):
    """End one session."""

    session_id: str
    why: RevokedWhy


class ChangeSecret(UserCommand, frozen=True):
    """Take a new secret, for somebody who showed the old one, right at `secret_version`.

    All sessions end but the one to `keep`.
    """

    secret_hash: Clear
    secret_version: int
    keep: str | None = None


class EraseOneself(UserCommand, frozen=True):
    """Be erased, for somebody who showed the secret, right at `secret_version`."""

    secret_version: int

    @property
    def asking(self) -> str | None:
        """The user itself, who may be the last administrator."""
        return self.user_key


class RehashSecret(UserCommand, frozen=True):
    """Keep the same secret under newer parameters, in place of exactly this sealed hash."""

    secret_hash: Clear
    replaced: bytes


class Authority(msgspec.Struct, frozen=True):
    """Who administers over HTTP, and which permissions the access token shown had."""

    user_key: str
    permissions: tuple[str, ...]


class AdministrativeCommand(UserCommand, frozen=True, kw_only=True):
    """A wish of somebody else about a user; `by` is None for an operator, who may do anything.

    The user itself ends its own sessions as one who may.
    """

    by: Authority | None = None

    @property
    def asking(self) -> str | None:
        """Whoever administers over HTTP."""
        return None if self.by is None else self.by.user_key


class SetPermissions(AdministrativeCommand, frozen=True):
    """Give the user exactly these permissions."""

    permissions: tuple[str, ...]


class ChangePermissions(AdministrativeCommand, frozen=True):
    """Give the user some permissions and take others, whatever else it has by now."""

    given: tuple[str, ...]
    taken: tuple[str, ...]


class ResetSecret(AdministrativeCommand, frozen=True):
    """Give the user a new secret; all sessions end."""

    secret_hash: Clear


class DisableUser(AdministrativeCommand, frozen=True):
    """Let the user not get in any more; all sessions end."""


class EnableUser(AdministrativeCommand, frozen=True):
    """Let the user get in again."""


class EraseUser(AdministrativeCommand, frozen=True):
    """Let nobody be able to read who the user was; all sessions end, for good."""


class EndSessions(AdministrativeCommand, frozen=True):
    """End every session of a user but the one to `keep`."""

    why: RevokedWhy
    keep: str | None = None


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


class RotateSigningKey(SigningKeyCommand, frozen=True):
    """Let a new key take over: `lead` µs from now, or at once with the old one withdrawn.

    With `max_age` (µs) only when the key that signs is older than that. Nothing while another key
    waits to take over, unless at once.
    """

    kid: str
    algorithm: KeyAlgorithm
    public_jwk: dict[str, str]
    lead: int
    at_once: bool = False
    max_age: int | None = None


class RetireSigningKey(SigningKeyCommand, frozen=True):
    """End a key that another has taken over from, at least `after` µs ago."""

    kid: str
    after: int


class LogCommand(Command, frozen=True):
    """A wish about the log itself."""

    log_id: str

    @property
    def stream(self) -> str:
        """The log's own stream."""
        return LOG


class OpenLog(LogCommand, frozen=True):
    """Begin the log."""


class RestoreLog(LogCommand, frozen=True):
    """Go on from a copy that ended at this position, as another log."""

    at_position: int
