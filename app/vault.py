"""Sealing: who can read what is personal, and the keys that decide it.

The master key only wraps. A person's data key and each credential's key lie wrapped in
`user_keys`, outside the log; the service's own keys in `ring_keys`. A key that is overwritten
makes every blob under it unreadable. Knows no rule and no HTTP.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.codec import ORIGIN
from domain.errors import Damage
from domain.events import Event
from domain.sealed import Clear
from domain.stream import Meta, user_key_of
from projections.storage import Rows

PERSON: Final = 0
"""The version under which a person's data key is kept; a credential's is its event's version."""
KEY_BYTES: Final = 32
RING_NAMES: Final = ("name", "refresh", "network", "log")

TABLES: Final = (
    """
CREATE TABLE IF NOT EXISTS ring_keys (
  name TEXT PRIMARY KEY,
  master_id TEXT NOT NULL,
  wrapped BYTEA NOT NULL
)""",
    """
CREATE TABLE IF NOT EXISTS user_keys (
  user_key TEXT NOT NULL,
  version BIGINT NOT NULL,
  master_id TEXT NOT NULL,
  wrapped BYTEA NOT NULL,
  PRIMARY KEY (user_key, version)
)""",
    """
CREATE TABLE IF NOT EXISTS user_ids (
  name_mac BYTEA PRIMARY KEY,
  user_key TEXT NOT NULL UNIQUE
)""",
)

ADD_RING_KEY: Final = "INSERT INTO ring_keys (name, master_id, wrapped) VALUES (?, ?, ?)"
RING_KEYS: Final = "SELECT name, master_id, wrapped FROM ring_keys"
WRAP_RING_KEY: Final = "UPDATE ring_keys SET master_id = ?, wrapped = ? WHERE name = ?"
DROP_RING_KEY: Final = "DELETE FROM ring_keys WHERE name = ?"
DROP_OTHER_SIGNING_KEYS: Final = "DELETE FROM ring_keys WHERE name LIKE 'signing %' AND name <> ?"
ADD_USER_KEY: Final = (
    "INSERT INTO user_keys (user_key, version, master_id, wrapped) VALUES (?, ?, ?, ?)"
)
WRAP_USER_KEY: Final = (
    "UPDATE user_keys SET master_id = ?, wrapped = ? WHERE user_key = ? AND version = ?"
)
USER_KEYS_AFTER: Final = """
SELECT user_key, version, master_id, wrapped FROM user_keys
WHERE (user_key, version) > (?, ?) AND version >= 0
ORDER BY user_key, version LIMIT ?"""
KEYS_LEFT: Final = """
SELECT (SELECT count(*) FROM ring_keys WHERE master_id <> ?)
  + (SELECT count(*) FROM user_keys WHERE master_id <> ? AND version >= 0)"""
_OVERWRITE: Final = """
UPDATE user_keys SET version = -1 - version, master_id = '', wrapped = substr(wrapped, 1, 0)
WHERE user_key = ?"""
"""Leaves a row without a key, at a version below 0. Were it deleted, SQLite would join its page
with others in time, and leave copies of their keys where nothing overwrites them any more."""
FORGET_OLD_CREDENTIALS: Final = f"{_OVERWRITE} AND version > 0 AND version < ?"
FORGET_PERSON_KEYS: Final = f"{_OVERWRITE} AND version >= 0"
PERSON_KEYS: Final = (
    "SELECT user_key, master_id, wrapped FROM user_keys WHERE version = 0 AND user_key IN (%s)"
)
RESERVE_NAME: Final = "INSERT INTO user_ids (name_mac, user_key) VALUES (?, ?)"
FREE_NAME: Final = "DELETE FROM user_ids WHERE user_key = ?"
NAMES_TAKEN: Final = "SELECT name_mac FROM user_ids WHERE name_mac IN (%s)"

_NONCE: Final = 12
_FORMAT: Final = b"\x01"


class Wrapped(NamedTuple):
    """A key under a master key: which one, and the blob."""

    master_id: str
    blob: bytes

    @classmethod
    def of(cls, master_id: object, blob: object) -> Wrapped:
        """As a row has it; raises `Damage` when the blob is not bytes."""
        if not isinstance(blob, bytes):
            msg = "A key's blob is not bytes."
            raise Damage(msg)
        return cls(str(master_id), blob)


class Ring(NamedTuple):
    """The service's own keys, by what they are for."""

    name: bytes
    refresh: bytes
    network: bytes
    log: bytes

    def __repr__(self) -> str:
        return "Ring(…)"


class MasterKey:
    """32 bytes that wrap other keys and do nothing else; its `repr` shows its id only."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            msg = "a master key has 32 bytes"
            raise ValueError(msg)
        self._aead = AESGCM(_derive(key, b"gatebook wrap"))
        self.id = _derive(key, b"gatebook id")[:8].hex()

    def __repr__(self) -> str:
        return f"MasterKey({self.id})"

    def wrap(self, label: str, key: bytes) -> Wrapped:
        """The key under this one, bound to what it is for."""
        nonce = secrets.token_bytes(_NONCE)
        return Wrapped(self.id, _FORMAT + nonce + self._aead.encrypt(nonce, key, _label(label)))

    def unwrap(self, label: str, blob: bytes) -> bytes:
        """The key again; raises `InvalidTag` when it isn't one of ours for that label."""
        if not blob.startswith(_FORMAT) or len(blob) < 1 + _NONCE:
            raise InvalidTag
        return self._aead.decrypt(blob[1 : 1 + _NONCE], blob[1 + _NONCE :], _label(label))


class Vault:
    """Wraps and unwraps keys, seals and opens values. Stateless but for the master keys."""

    def __init__(self, master: bytes, previous: bytes | None = None) -> None:
        self._current = MasterKey(master)
        keys = [self._current] + ([MasterKey(previous)] if previous else [])
        self._masters: Mapping[str, MasterKey] = {key.id: key for key in keys}

    @property
    def master_id(self) -> str:
        """The id of the current master key, which is no secret."""
        return self._current.id

    def wrap(self, label: str, key: bytes) -> Wrapped:
        """Wrap under the current master key."""
        return self._current.wrap(label, key)

    def unwrap(self, label: str, wrapped: Wrapped) -> bytes:
        """Raises `Damage` when no master key at hand opens it."""
        master = self._masters.get(wrapped.master_id)
        if master is None:
            msg = (
                f"A key is wrapped under master key {wrapped.master_id}, which isn't the one "
                "given. Set GATEBOOK_MASTER_KEY to the key that this store has now; while it is "
                "changed, GATEBOOK_MASTER_KEY_PREVIOUS to the other one."
            )
            raise Damage(msg)
        try:
            return master.unwrap(label, wrapped.blob)
        except InvalidTag as error:
            msg = f"The wrapped key «{label}» was changed, or belongs elsewhere."
            raise Damage(msg) from error

    def new_ring_key(self, name: str, key: bytes | None = None) -> tuple[str, str, bytes]:
        """A row of `ring_keys`, random unless a key is given."""
        wrapped = self.wrap(f"ring {name}", key or secrets.token_bytes(KEY_BYTES))
        return name, wrapped.master_id, wrapped.blob

    def unwrap_ring_key(self, name: str, wrapped: Wrapped) -> bytes:
        """The key of a row of `ring_keys`."""
        return self.unwrap(f"ring {name}", wrapped)

    def load_ring(self, rows: Rows) -> Ring:
        """The service's own keys; raises `Damage` when one is missing or doesn't open."""
        found = {
            str(name): Wrapped.of(master_id, blob)
            for name, master_id, blob in rows.fetch(RING_KEYS)
        }
        missing = [name for name in RING_NAMES if name not in found]
        if missing:
            msg = f"The store has no key «{missing[0]}»."
            raise Damage(msg)
        return Ring(*(self.unwrap_ring_key(name, found[name]) for name in RING_NAMES))

    def new_user_key_row(self, user_key: str, version: int) -> tuple[bytes, Wrapped]:
        """A random key of a person (version 0) or a credential, and how it is kept."""
        key = secrets.token_bytes(KEY_BYTES)
        return key, self.wrap(_user_label(user_key, version), key)

    def unwrap_user_key(self, user_key: str, version: int, wrapped: Wrapped) -> bytes:
        """The key of a row of `user_keys`."""
        return self.unwrap(_user_label(user_key, version), wrapped)

    def rewrap_user_key(self, user_key: str, version: int, wrapped: Wrapped) -> Wrapped:
        """The same key under the current master key."""
        label = _user_label(user_key, version)
        return self.wrap(label, self.unwrap(label, wrapped))


class Place(NamedTuple):
    """What a blob is bound to: it opens nowhere else."""

    stream: str
    version: int
    topic: str
    schema: int
    field: str


def seal(key: bytes, place: Place, text: str) -> bytes:
    """AES-256-GCM; the blob names its place, so that a view's copy can be opened too."""
    return seal_bytes(key, place, text.encode())


def seal_bytes(key: bytes, place: Place, value: bytes) -> bytes:
    """As `seal`, of bytes."""
    nonce = secrets.token_bytes(_NONCE)
    ciphertext = AESGCM(key).encrypt(nonce, value, _additional(place))
    return _header(place) + nonce + ciphertext


def open_sealed(
    key: bytes, blob: bytes, stream: str, field: str, *, at: tuple[str, int] | None = None
) -> str:
    """The value in a blob; `at` is the (topic, version) that a log row claims for it.

    Raises `Damage` when the blob was changed, moved, or sealed by another key.
    """
    return open_sealed_bytes(key, blob, stream, field, at=at).decode()


def open_sealed_bytes(
    key: bytes, blob: bytes, stream: str, field: str, *, at: tuple[str, int] | None = None
) -> bytes:
    """As `open_sealed`, of bytes."""
    try:
        head, _, rest = blob[1:].partition(b"\n")
        version, schema, topic = head.split(b" ")
        place = Place(stream, int(version), topic.decode(), int(schema), field)
        elsewhere = at is not None and at != (place.topic, place.version)
        if elsewhere or not blob.startswith(_header(place)):
            raise ValueError
        return AESGCM(key).decrypt(rest[:_NONCE], rest[_NONCE:], _additional(place))
    except (InvalidTag, ValueError) as error:
        msg = f"A sealed {field} of {stream} was changed, or belongs elsewhere."
        raise Damage(msg) from error


def signing_name(kid: str) -> str:
    """Under which name of `ring_keys` a signing key's private part is kept."""
    return f"signing {kid}"


def name_mac(ring: Ring, prepared: str) -> bytes:
    """What stands for a prepared user_id at rest: no dictionary recovers it from a dump."""
    return hmac.digest(ring.name, prepared.encode(), hashlib.sha256)


class Sealing(NamedTuple):
    """An event with its personal values sealed, and the key to keep for its credential."""

    event: Event
    meta: Meta
    credential: Wrapped | None


def seal_event(
    vault: Vault, stream: str, version: int, event: Event, meta: Meta, keys: Mapping[str, bytes]
) -> Sealing:
    """Seal what is personal in an event on its way to `version` of `stream`.

    `keys` are data keys by user_key. Origin is sealed by the key of whoever acted, an anonymous
    one's by the stream's user; it is dropped when that person is erased.
    """
    credential = None
    changes = {}
    for field, seal_by in event.seals.items():
        value = getattr(event, field)
        if not isinstance(value, Clear):
            msg = f"{event.name}.{field} is sealed already"
            raise TypeError(msg)
        place = Place(stream, version, event.name, event.schema, field)
        if seal_by == "person":
            key = keys[stream]
        else:
            key, credential = vault.new_user_key_row(stream, version)
        changes[field] = seal(key, place, value.text)
    if changes:
        event = msgspec.structs.replace(event, **changes)
    if isinstance(meta.origin, Clear):
        owner = keys.get(user_key_of(meta.actor) or stream)
        place = Place(stream, version, event.name, event.schema, ORIGIN)
        origin = None if owner is None else seal(owner, place, meta.origin.text)
        meta = Meta(meta.actor, meta.request_id, origin)
    return Sealing(event, meta, credential)


def _header(place: Place) -> bytes:
    """What stands before a blob's ciphertext, in its one spelling."""
    return b"%s%d %d %s\n" % (_FORMAT, place.version, place.schema, place.topic.encode())


def _additional(place: Place) -> bytes:
    return _FORMAT + msgspec.json.encode(place)


def _label(label: str) -> bytes:
    return _FORMAT + label.encode()


def _derive(key: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=label).derive(key)


def _user_label(user_key: str, version: int) -> str:
    return f"user {user_key} {version}"
