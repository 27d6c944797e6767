"""Access tokens whose signature was found right a moment ago: their claims, without doing it again.

A token is known by the SHA-256 of all of its bytes, and until it expires. Whoever reads the keys
anew begins anew with what is remembered, too. That a signature was right is all that is: must not
know sessions, so that one that was ended is found out as ever (ADR 0019).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from app.tokens.access_token import MAX_TOKEN_BYTES, Claims, genuine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.tokens.signing import VerifyingKey

REMEMBERED: Final = 4096
"""Tokens; about 1 KiB each."""

_SECOND: Final = 1_000_000


class Verified:
    """By these keys; belongs to one thread; at most `remembered` tokens."""

    def __init__(self, keys: Mapping[str, VerifyingKey], remembered: int = REMEMBERED) -> None:
        self._keys = keys
        self._remembered = remembered
        self._claims: dict[bytes, Claims] = {}

    def genuine(self, token: str, now: int) -> Claims:
        """What `access_token.genuine` gives, or raises; `now` is in µs."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            return genuine(token, self._keys)  # which refuses it
        digest = sha256(token.encode("ascii")).digest()
        claims = self._claims.get(digest)
        if claims is None:
            claims = genuine(token, self._keys)
            if len(self._claims) >= self._remembered:
                del self._claims[next(iter(self._claims))]  # remembered first
            self._claims[digest] = claims
        if now >= claims.exp * _SECOND:
            del self._claims[digest]
        return claims
