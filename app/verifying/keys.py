"""The wrapped keys of a store: that each opens, and that the signing keys are those of the log.

A key that doesn't open is found once; what only that key would open is not told again. Knows no
event but those of signing keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from app.store import UnusableStore
from app.tokens.signing import SigningKey
from app.vault import PERSON, RING_KEYS, RING_NAMES, Vault, Wrapped, signing_name
from app.verifying.findings import Findings
from domain.errors import Damage
from domain.signing_keys import SigningKeys
from projections.comparison import spelled
from projections.storage import Rows

USER_KEYS: Final = """
SELECT user_key, version, master_id, wrapped FROM user_keys
WHERE version >= 0 OR length(wrapped) > 0"""
"""Those that were forgotten, too, if there is anything left of them."""


class Keys(NamedTuple):
    """Keys by what they are of; `broken` are those of users that are there and don't open."""

    ring: Mapping[str, bytes]
    persons: Mapping[str, bytes]
    credentials: Mapping[tuple[str, int], bytes]
    broken: frozenset[tuple[str, int]]


def open_ring(rows: Rows, vault: Vault, findings: Findings) -> dict[str, bytes]:
    """The service's own keys, signing keys among them.

    Raises `UnusableStore` when none opens: then the master key is another one.
    """
    ring: dict[str, bytes] = {}
    there: set[str] = set()
    refused: Damage | None = None
    for batch in rows.scan(RING_KEYS):
        for name, master_id, blob in batch:
            there.add(str(name))
            try:
                ring[str(name)] = vault.unwrap_ring_key(str(name), Wrapped.of(master_id, blob))
            except Damage as error:
                refused = error
                findings.add("ring_keys", name, error.detail)
    if refused is not None and not ring:
        raise UnusableStore(refused.detail)
    for name in RING_NAMES:
        if name not in there:
            findings.add("ring_keys", name, "This key of the service is missing.")
    return ring


def open_users(rows: Rows, vault: Vault, ring: Mapping[str, bytes], findings: Findings) -> Keys:
    """The ring with the keys of all users."""
    persons: dict[str, bytes] = {}
    credentials: dict[tuple[str, int], bytes] = {}
    broken: set[tuple[str, int]] = set()
    for batch in rows.scan(USER_KEYS):
        for user_key, version, master_id, blob in batch:
            if not isinstance(user_key, str) or not isinstance(version, int):
                findings.add("user_keys", spelled(user_key, version), "This is no user's key.")
                continue
            try:
                key = vault.unwrap_user_key(user_key, version, Wrapped.of(master_id, blob))
            except Damage as error:
                broken.add((user_key, version))
                findings.add("user_keys", spelled(user_key, version), error.detail)
                continue
            if version == PERSON:
                persons[user_key] = key
            else:
                credentials[user_key, version] = key
    return Keys(ring, persons, credentials, frozenset(broken))


def check_signing_keys(
    signing: SigningKeys, ring: Mapping[str, bytes], rows: Rows, findings: Findings
) -> None:
    """Each key that may sign has its private part, and no other is there."""
    usable = {signing_name(key.kid): key for key in signing.keys.values() if key.is_usable}
    there = {str(name) for batch in rows.scan(RING_KEYS) for name, _, _ in batch}
    for name in sorted(there - usable.keys() - set(RING_NAMES)):
        findings.add("ring_keys", name, "The log knows no key of this name that may be there.")
    for name, key in usable.items():
        if name not in there:
            findings.add("ring_keys", name, "The private part of a key that may sign is missing.")
        elif name in ring:
            try:
                members = SigningKey.from_pkcs8(key.algorithm, ring[name]).verifying_key.members()
            except Damage as error:
                findings.add("ring_keys", name, error.detail)
                continue
            if members != key.public_jwk:
                findings.add("ring_keys", name, "This isn't the key whose public part is known.")
