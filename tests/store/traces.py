"""What is known of a person before an erasure, and whether any of it is in some bytes afterwards.

Knows the keys, and nothing of the service.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from app.vault import PERSON, Wrapped, open_sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from app.store import Store

_KEYS: Final = (
    "SELECT version, master_id, wrapped FROM user_keys WHERE user_key = ? AND version >= 0"
)
_BEGINNING: Final = 6
"""Bytes by which a form is looked for first."""
_HASH: Final = "SELECT secret_hash FROM user_directory_v1 WHERE user_key = ?"


def traces_of(store: Store, user_key: str) -> dict[str, bytes]:
    """The person's keys, wrapped and bare, and the hash of the secret, which they open."""
    vault = store.vault
    found: dict[str, bytes] = {}
    with store.storage.snapshot() as rows:
        for version, *wrapped in rows.fetch(_KEYS, (user_key,)):
            blob = Wrapped.of(*wrapped)
            key = vault.unwrap_user_key(user_key, int(version or 0), blob)
            found |= {f"wrapped key {version}": blob.blob, f"key {version}": key}
            if version != PERSON:
                ((sealed,),) = rows.fetch(_HASH, (user_key,))
                assert isinstance(sealed, bytes)
                found["hash"] = open_sealed(key, sealed, user_key, "secret_hash").encode()
    assert {f"wrapped key {PERSON}", "hash"} <= found.keys()
    return found


def found_in(content: bytes, traces: Mapping[str, bytes]) -> set[str]:
    """Which of these are in the content, as they are, in base64 or in hex."""
    return found_of(content, [traces])[0]


def found_of(content: bytes, people: Sequence[Mapping[str, bytes]]) -> list[set[str]]:
    """The same for many people in one pass over the content."""
    wanted: dict[bytes, list[tuple[bytes, int, str]]] = {}
    for number, traces in enumerate(people):
        for name, value in traces.items():
            for form in forms(value):
                assert len(form) >= _BEGINNING, f"too short to be looked for: {name}"
                wanted.setdefault(form[:_BEGINNING], []).append((form, number, name))
    found: list[set[str]] = [set() for _ in people]
    for place in range(len(content) - _BEGINNING + 1):
        for form, number, name in wanted.get(content[place : place + _BEGINNING], ()):
            if content.startswith(form, place):
                found[number].add(name)
    return found


def forms(value: bytes) -> Iterator[bytes]:
    """How bytes may lie in a file: also within a longer text in base64, at each of its places."""
    yield value
    yield value.hex().encode()
    yield value.hex().upper().encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # What the neighbours have a share in is cut off.
            text = encode(bytes(before) + value).rstrip(b"=")
            yield text[(before * 4 + 2) // 3 : len(text) - (len(text) % 4 != 0)]
