"""The refresh token as a value: parse, format, check.

`gbr_` + 22 (session) + 6 (generation) + 43 (HMAC-SHA-256 over both) + 6 (CRC32 of the 71
characters before) = 81 characters. Knows no session's state: whether a genuine token is still
good is decided from the session's current generation.
"""

from __future__ import annotations

import hmac
import zlib
from typing import Final, NamedTuple

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS: Final = [a + b for a in _DIGITS for b in _DIGITS]
_PAIR_VALUES: Final = {pair: value for value, pair in enumerate(_PAIRS)}
_LENGTH: Final = 81
_SESSION_DIGITS: Final = 22


def base62(number: int, width: int) -> str:
    """Digits `0-9A-Za-z`, padded with `0` to `width`."""
    pairs: list[str] = []
    for _ in range((width + 1) // 2):
        number, rest = divmod(number, 3844)
        pairs.append(_PAIRS[rest])
    text = "".join(reversed(pairs))
    return text[-width:]


def format_session_id(random: bytes) -> str:
    """The session_id of 16 random bytes: 22 characters."""
    return base62(int.from_bytes(random, "big"), 22)


class RefreshToken(NamedTuple):
    """What a well-formed token says; nothing is proved until `is_genuine`.

    Its `repr` doesn't show the MAC: the three fields together are the token.
    """

    session_id: str
    generation: int
    mac: str

    def __repr__(self) -> str:
        return f"RefreshToken({self.session_id!r}, {self.generation}, …)"


def is_session_id(text: str) -> bool:
    """Whether a text is spelt as a session_id."""
    return len(text) == _SESSION_DIGITS and text.isascii() and text.isalnum()


def format_refresh_token(session_id: str, generation: int, key: bytes) -> str:
    """The one token of a session's generation, under the server's `refresh` key."""
    body = f"{session_id}{base62(generation, 6)}{_mac(session_id, generation, key)}"
    return f"gbr_{body}{base62(zlib.crc32(body.encode()), 6)}"


def parse(text: str) -> RefreshToken | None:
    """Read a token; None when the form or the checksum is wrong, before any look-up."""
    if len(text) != _LENGTH or not text.startswith("gbr_"):
        return None
    body = text[4:75]
    if not (text.isascii() and text[4:].isalnum()):
        return None
    if zlib.crc32(body.encode()) != _six_digits(text[75:]):
        return None
    return RefreshToken(text[4:26], _six_digits(text[26:32]), text[32:75])


def is_genuine(token: RefreshToken, key: bytes) -> bool:
    """Whether the server made this token, compared in constant time."""
    expected = _mac(token.session_id, token.generation, key)
    return hmac.compare_digest(expected, token.mac) and token.generation > 0


def _six_digits(text: str) -> int:
    """The number that `base62(…, 6)` wrote."""
    first, second, third = text[:2], text[2:4], text[4:]
    return (_PAIR_VALUES[first] * 3844 + _PAIR_VALUES[second]) * 3844 + _PAIR_VALUES[third]


def _mac(session_id: str, generation: int, key: bytes) -> str:
    digest = hmac.digest(key, f"{session_id}.{generation}".encode(), "sha256")
    return base62(int.from_bytes(digest, "big"), 43)
