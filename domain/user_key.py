"""The user_key: `uk_` and 26 characters of lower-case Crockford base32.

Knows nothing of users; randomness comes in as 16 bytes of a UUID (v4).
"""

from __future__ import annotations

import re
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_USER_KEY: Final = re.compile(r"uk_[0-7][0-9a-hjkmnp-tv-z]{25}")


def format_user_key(uuid: bytes) -> str:
    """The user_key of 16 random bytes."""
    number = int.from_bytes(uuid, "big")
    return "uk_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_user_key(text: str) -> bool:
    """Whether `text` is spelt as a user_key; other spellings of one are unknown."""
    return _USER_KEY.fullmatch(text) is not None
