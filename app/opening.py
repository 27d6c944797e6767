"""Opening what the views hold sealed, with the keys that came in the same read.

What was opened is kept by all that it was opened from, whose, which member and wrapped key
included: a row whose key is gone, or that was put in another's place, finds nothing here.
Knows no rule.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec

from app.vault import PERSON, Place, Vault, Wrapped, open_sealed, seal
from domain.codec import ORIGIN
from domain.errors import Damage
from domain.stream import Origin

REMEMBERED: Final = 2048

_NOBODY: Final = Place("nobody", 1, "user.registered", 1, "secret_hash")

_decode_origin = msgspec.json.Decoder(Origin).decode


class Opener:
    """Belongs to one thread. Whoever lets it remember says `at` which generation the store is."""

    def __init__(self, vault: Vault, *, remembered: int = REMEMBERED) -> None:
        self._vault = vault
        self._remembered = remembered
        self._opened: OrderedDict[tuple[str, str, bytes, bytes], str] = OrderedDict()
        self._generation = 0
        key, self._nobodys_key = vault.new_user_key_row(_NOBODY.stream, _NOBODY.version)
        self._nobodys_hash = seal(key, _NOBODY, "x" * 97)

    def at(self, generation: int) -> None:
        """Forget everything when the store's generation isn't the one it was opened at."""
        if generation != self._generation:
            self.forget()
            self._generation = generation

    def forget(self) -> None:
        """Forget everything."""
        self._opened.clear()

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

    def nobody(self) -> None:
        """The work of `credential`, for a user that there isn't: it takes as long."""
        self.credential(_NOBODY.stream, _NOBODY.version, self._nobodys_key, self._nobodys_hash)

    def _open(self, user_key: str, wrapped: Wrapped, blob: bytes, field: str) -> str:
        place = (user_key, field, wrapped.blob, blob)
        found = self._opened.get(place)
        if found is None:
            key = self._vault.unwrap_user_key(user_key, PERSON, wrapped)
            found = open_sealed(key, blob, user_key, field)
            if len(self._opened) >= self._remembered > 0:
                self._opened.popitem(last=False)
            if self._remembered:
                self._opened[place] = found
        return found


def wrapped_key(master_id: str | None, blob: bytes | None, user_key: str) -> Wrapped:
    """A user's wrapped key from a row; raises `Damage` when it is missing."""
    if master_id is None or blob is None:
        msg = f"A key of {user_key} is missing, and nobody erased it."
        raise Damage(msg)
    return Wrapped(master_id, blob)
