"""Users: who there is, what each may do, and what a login needs.

Inline. Names and hashes are the events' sealed blobs, byte for byte. Knows no cipher.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from domain import events
from domain.events import Event
from domain.sealed import sealed
from domain.stream import Recorded
from projections.projection import Mode
from projections.storage import Row, Rows, Value

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS user_directory_v1 (
  user_key TEXT PRIMARY KEY,
  user_id BYTEA,
  secret_hash BYTEA,
  secret_version BIGINT NOT NULL,
  status TEXT NOT NULL,
  permissions TEXT NOT NULL,
  registered_at BIGINT NOT NULL,
  registered_position BIGINT NOT NULL,
  last_login_at BIGINT
)"""
_CREATE_INDEX: Final = (
    "CREATE INDEX IF NOT EXISTS user_directory_v1_order ON user_directory_v1 (registered_position)"
)
CREATE_ADMINISTRATORS: Final = """
CREATE INDEX IF NOT EXISTS user_directory_v1_administrators ON user_directory_v1 (user_key)
WHERE ' ' || permissions || ' ' LIKE '% admin %'"""
"""Came after the first stores were made."""

_REGISTER: Final = """
INSERT INTO user_directory_v1 (user_key, user_id, secret_hash, secret_version, status,
  permissions, registered_at, registered_position)
VALUES (?, ?, ?, 1, 'active', '', ?, ?)"""
_LOG_IN: Final = "UPDATE user_directory_v1 SET last_login_at = ? WHERE user_key = ?"
_CHANGE: Final = """
UPDATE user_directory_v1 SET secret_hash = ?, secret_version = secret_version + 1
WHERE user_key = ?"""
_REHASH: Final = "UPDATE user_directory_v1 SET secret_hash = ? WHERE user_key = ?"
_PERMIT: Final = "UPDATE user_directory_v1 SET permissions = ? WHERE user_key = ?"
_DISABLE: Final = "UPDATE user_directory_v1 SET status = 'disabled' WHERE user_key = ?"
_ENABLE: Final = "UPDATE user_directory_v1 SET status = 'active' WHERE user_key = ?"
_ERASE: Final = """
UPDATE user_directory_v1 SET status = 'erased', permissions = '', user_id = NULL,
  secret_hash = NULL
WHERE user_key = ?"""

_CREDENTIAL: Final = """
SELECT w.{found}, d.user_key, d.status, d.permissions, d.secret_version, d.user_id, d.secret_hash,
  k.master_id, k.wrapped, c.version, c.master_id, c.wrapped, {network}, s.generation
FROM store s
LEFT JOIN {table} w ON w.{found} = coalesce(
  (SELECT {found} FROM {table} WHERE {found} >= ? ORDER BY {found} LIMIT 1),
  (SELECT min({found}) FROM {table}))
LEFT JOIN user_directory_v1 d ON d.user_key = w.user_key
LEFT JOIN user_keys k ON k.user_key = w.user_key AND k.version = 0
LEFT JOIN user_keys c ON c.user_key = w.user_key AND c.version =
  (SELECT max(version) FROM user_keys WHERE user_key = w.user_key AND version > 0)
"""
# In place of somebody who isn't there the next one is read, and the first in place of who would be
# the last, so that it takes as long.
KNOWN_NETWORK: Final = """
SELECT n.last_at, s.generation FROM store s
LEFT JOIN known_networks n ON n.network_mac = ? AND n.user_key = ?"""
"""When a login of a user from a network was noted."""
CREDENTIAL_BY_KEY: Final = _CREDENTIAL.format(
    found="user_key",
    table="user_directory_v1",
    network="(SELECT last_at FROM known_networks n "
    "WHERE n.network_mac = ? AND n.user_key = w.user_key)",
)
"""What a login needs: one row by network and user_key, of the user or of the next one, whose
user_key is told first. What follows is in the order of `CredentialRow`; where there is nobody at
all only the store's generation."""
CREDENTIAL_BY_NAME: Final = _CREDENTIAL.format(found="name_mac", table="user_ids", network="NULL")
"""The same by the keyed hash of the prepared user_id; no network is known to it."""

_USER: Final = """
SELECT d.user_key, d.user_id, d.status, d.permissions, d.registered_at, d.last_login_at,
  (SELECT count(*) FROM token_lookup_v1 t WHERE t.user_key = d.user_key AND t.ended_at IS NULL
     AND t.expires_at > ? AND t.last_used_at > ?),
  (SELECT position FROM events e WHERE e.stream = d.user_key ORDER BY version DESC LIMIT 1),
  d.registered_position, k.master_id, k.wrapped
FROM user_directory_v1 d
LEFT JOIN user_keys k ON k.user_key = d.user_key AND k.version = 0
"""
USER_BY_KEY: Final = _USER + "WHERE d.user_key = ?"
"""One user in the order of `UserRow`; the first two parameters are now and now less the idle
limit, in µs."""
USER_BY_NAME: Final = (
    _USER + "WHERE d.user_key = (SELECT user_key FROM user_ids WHERE name_mac = ?)"
)
USERS_AFTER: Final = {
    "asc": _USER + "WHERE d.registered_position > ? ORDER BY d.registered_position LIMIT ?",
    "desc": _USER + "WHERE d.registered_position < ? ORDER BY d.registered_position DESC LIMIT ?",
}
"""A page of users in each order of their registration."""

ADMINISTRATORS: Final = """
SELECT user_key FROM user_directory_v1
WHERE ' ' || permissions || ' ' LIKE '% admin %' AND status = 'active' LIMIT ?"""
"""Some of the enabled administrators."""
SOMEBODY: Final = "SELECT 1 FROM user_directory_v1 WHERE status <> 'erased' LIMIT 1"
"""Whether there is any user whom nobody erased."""


class CredentialRow(msgspec.Struct, frozen=True):
    """What a login needs; blobs are sealed, keys wrapped."""

    user_key: str
    status: str
    permissions: str
    secret_version: int
    user_id: bytes | None
    secret_hash: bytes | None
    person_master_id: str | None
    person_wrapped: bytes | None
    credential_version: int | None
    credential_master_id: str | None
    credential_wrapped: bytes | None
    network_last_at: int | None
    store_generation: int

    @classmethod
    def of(cls, row: Row) -> CredentialRow:
        """The row as the storage gives it, but for what it was found by."""
        return cls(*row[1:])  # type: ignore[arg-type]


class UserRow(msgspec.Struct, frozen=True):
    """What a list of users shows; times in µs."""

    user_key: str
    user_id: bytes | None
    status: str
    permissions: str
    registered_at: int
    last_login_at: int | None
    live_sessions: int
    position: int
    registered_position: int
    master_id: str | None
    wrapped: bytes | None

    @classmethod
    def of(cls, row: Row) -> UserRow:
        """The row as the storage gives it."""
        return cls(*row)  # type: ignore[arg-type]


class UserDirectory:
    """Keeps `user_directory_v1`."""

    name = "user_directory"
    version = 1
    mode: Mode = "inline"
    wants: frozenset[type[Event]] = frozenset(
        {
            events.UserRegistered,
            events.UserLoggedIn,
            events.UserSecretChanged,
            events.UserSecretRehashed,
            events.UserPermissionsSet,
            events.UserDisabled,
            events.UserEnabled,
            events.UserErased,
        }
    )
    tables: tuple[str, ...] = (_CREATE, _CREATE_INDEX, CREATE_ADMINISTRATORS)

    def apply(self, rows: Rows, batch: Sequence[Recorded]) -> None:
        """Register, change and erase users."""
        for recorded in batch:
            sql, params = _change(recorded)
            rows.execute(sql, params)


def _change(recorded: Recorded) -> tuple[str, tuple[Value, ...]]:
    user = recorded.stream
    match recorded.event:
        case events.UserRegistered(user_id, secret_hash):
            blobs = (sealed(user_id), sealed(secret_hash))
            return _REGISTER, (user, *blobs, recorded.time, recorded.position)
        case events.UserLoggedIn():
            return _LOG_IN, (recorded.time, user)
        case events.UserSecretChanged(secret_hash):
            return _CHANGE, (sealed(secret_hash), user)
        case events.UserSecretRehashed(secret_hash):
            return _REHASH, (sealed(secret_hash), user)
        case events.UserPermissionsSet(permissions):
            return _PERMIT, (" ".join(permissions), user)
        case events.UserDisabled():
            return _DISABLE, (user,)
        case events.UserEnabled():
            return _ENABLE, (user,)
        case events.UserErased():
            return _ERASE, (user,)
        case event:
            msg = f"the user directory doesn't want {event.name}"
            raise TypeError(msg)
