"""What can have happened: one frozen Struct an event, with its stored name and version.

Payloads only. Nothing derived, no stream ids, no secret in clear. A released shape never
changes: a new one is a new version, an upcast and a golden file (`domain.upcasts`).
Times are in µs since the epoch, UTC.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from domain.sealed import Personal, Seal

LoggedInBy = Literal["secret", "client_credentials", "page"]
RevokedWhy = Literal[
    "owner",
    "admin",
    "end_all",
    "limit",
    "reuse",
    "secret_changed",
    "disabled",
    "erased",
    "restored",
]
KeyAlgorithm = Literal["ES256", "EdDSA", "RS256"]


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A fact. `name` and `schema` are stored with it; `seals` says which fields are personal."""

    name: ClassVar[str]
    schema: ClassVar[int] = 1
    seals: ClassVar[dict[str, Seal]] = {}


class UserRegistered(Event, frozen=True):
    """Somebody took a name and a secret."""

    name = "user.registered"
    seals = {"user_id": "person", "secret_hash": "credential"}
    user_id: Personal
    secret_hash: Personal


class UserLoggedIn(Event, frozen=True):
    """The user proved who it is; a session began."""

    name = "user.logged_in"
    session_id: str
    by: LoggedInBy


class UserLoginFailed(Event, frozen=True):
    """Wrong secrets were shown: how many in one minute at one process."""

    name = "user.login_failed"
    count: int
    first_at: int
    last_at: int


class RefreshTokenIssued(Event, frozen=True):
    """The session's first refresh token exists; the session ends at `expires_at` at the latest."""

    name = "refresh_token.issued"
    session_id: str
    expires_at: int


class RefreshTokenUsed(Event, frozen=True):
    """The refresh token was used, and this use was worth a record."""

    name = "refresh_token.used"
    session_id: str
    generation: int


class RefreshTokenRotated(Event, frozen=True):
    """The generation before was retired; `generation` is the new one."""

    name = "refresh_token.rotated"
    session_id: str
    generation: int


class RefreshTokenRepeated(Event, frozen=True):
    """A retired generation came again in its window, from elsewhere or where a use is recorded."""

    name = "refresh_token.repeated"
    session_id: str
    generation: int


class RefreshTokenReuseDetected(Event, frozen=True):
    """A retired generation came again when only a thief or a victim could send it."""

    name = "refresh_token.reuse_detected"
    session_id: str
    generation: int


class RefreshTokenRevoked(Event, frozen=True):
    """The session is over."""

    name = "refresh_token.revoked"
    session_id: str
    why: RevokedWhy


class UserSecretChanged(Event, frozen=True):
    """The user has a new secret."""

    name = "user.secret_changed"
    seals = {"secret_hash": "credential"}
    secret_hash: Personal


class UserSecretRehashed(Event, frozen=True):
    """The same secret, hashed with newer parameters."""

    name = "user.secret_rehashed"
    seals = {"secret_hash": "credential"}
    secret_hash: Personal


class UserPermissionsSet(Event, frozen=True):
    """The user has exactly these permissions, sorted."""

    name = "user.permissions_set"
    permissions: tuple[str, ...]


class UserDisabled(Event, frozen=True):
    """The user can't get in until enabled."""

    name = "user.disabled"


class UserEnabled(Event, frozen=True):
    """The user can get in again."""

    name = "user.enabled"


class UserErased(Event, frozen=True):
    """The user's keys are gone: nobody can read who it was."""

    name = "user.erased"


class SigningKeyAdded(Event, frozen=True):
    """A signing key exists and may be published; `public_jwk` is RFC 7517."""

    name = "signing_key.added"
    kid: str
    algorithm: KeyAlgorithm
    public_jwk: dict[str, str]


class SigningKeyActivated(Event, frozen=True):
    """From `from_` on this key signs, in every process."""

    name = "signing_key.activated"
    kid: str
    from_: int = msgspec.field(name="from")


class SigningKeyRetired(Event, frozen=True):
    """The key signs no more; it is published until the last token signed by it is over."""

    name = "signing_key.retired"
    kid: str
    published_until: int


class SigningKeyWithdrawn(Event, frozen=True):
    """Nothing that this key signed is accepted any more."""

    name = "signing_key.withdrawn"
    kid: str


class LogOpened(Event, frozen=True):
    """The log began: position 1."""

    name = "log.opened"
    log_id: str


class LogRestored(Event, frozen=True):
    """The log goes on from a copy, under a new id; `at_position` was the copy's head."""

    name = "log.restored"
    log_id: str
    at_position: int
