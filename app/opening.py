"""Opening what the views hold sealed, with the keys that came in the same read.

What was opened is kept by the bytes it was opened from, wrapped key included: a row whose key
is gone finds nothing here. Knows no rule.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from app.vault import PERSON, Vault, Wrapped, open_sealed
from domain.codec import ORIGIN
from domain.errors import Damage
from domain.stream import Origin

REMEMBERED: Final = 8192

_decode_origin = msgspec.json.Decoder(Origin).decode


class Opener:
    """Belongs to the event loop; `forget` when the store's generation has moved."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._opened: OrderedDict[tuple[bytes, bytes], str] = OrderedDict()
        self._generation = 0

    def at(self, generation: int) -> None:
        """Forget everything when the store's generation isn't the one it was opened at."""
        if generation != self._generation:
            self._opened.clear()
            self._generation = generation

    def user_id(self, user_key: str, wrapped: Wrapped, blob: bytes) -> str:
        """The name as typed; raises `Damage`."""
        return self._open(user_key, wrapped, blob, "user_id")

    def origin(self, user_key: str, wrapped: Wrapped, blob: bytes) -> Origin:
        """Where a request came from; raises `Damage`."""
        return _decode_origin(self._open(user_key, wrapped, blob, ORIGIN))

    def credential(self, user_key: str, version: int, wrapped: Wrapped, blob: bytes) -> str:
        """A secret's hash; never remembered."""
        key = self._vault.unwrap_user_key(user_key, version, wrapped)
        return open_sealed(key, blob, user_key, "secret_hash")

    def _open(self, user_key: str, wrapped: Wrapped, blob: bytes, field: str) -> str:
        found = self._opened.get((wrapped.blob, blob))
        if found is None:
            key = self._vault.unwrap_user_key(user_key, PERSON, wrapped)
            found = open_sealed(key, blob, user_key, field)
            self._opened[wrapped.blob, blob] = found
            if len(self._opened) > REMEMBERED:
                self._opened.popitem(last=False)
        return found


def wrapped_key(master_id: str | None, blob: bytes | None, user_key: str) -> Wrapped:
    """A user's wrapped key from a row; raises `Damage` when it is missing."""
    if master_id is None or blob is None:
        msg = f"A key of {user_key} is missing, and nobody erased it."
        raise Damage(msg)
    return Wrapped(master_id, blob)
