"""The tokens that a program holds, and what it may read from them without a key.

What stands in an access token is believed for planning alone: who calls is a verifier's to say.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Final

import msgspec

from gatebook_client.errors import UnexpectedAnswer
from gatebook_client.unshown import Unshown

PREFIX: Final = "gbr_"
_LENGTH: Final = 81
_SESSION: Final = slice(4, 26)
_GENERATION: Final = slice(26, 32)
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SHOWN: Final = 12


class _Times(msgspec.Struct, frozen=True):
    exp: int
    iat: int
    sid: str = ""
    sub: str = ""


class Tokens(Unshown, msgspec.Struct, frozen=True):
    """An access token and what it may be renewed with; neither shows in a `repr`."""

    access_token: str
    refresh_token: str | None = None

    def _shown(self) -> list[tuple[str, object]]:
        try:
            times = self.times
        except UnexpectedAnswer:
            return []
        return [("session", times.sid), ("expires_at", times.exp)]

    @property
    def times(self) -> _Times:
        """`exp`, `iat` (seconds since the epoch, the service's) and the session."""
        return read_times(self.access_token)

    @property
    def session_id(self) -> str:
        """The session that both belong to."""
        return self.times.sid


def read_times(access_token: str) -> _Times:
    """What an access token says of its times; raises UnexpectedAnswer when it is none."""
    try:
        payload = access_token.split(".")[1]
        return msgspec.json.decode(
            urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Times
        )
    except (IndexError, ValueError):
        raise UnexpectedAnswer("The access token is no JWT.", 200) from None


def session_of(refresh_token: str) -> str:
    """The session of a refresh token; the empty text when it is none of Gatebook's."""
    return refresh_token[_SESSION] if _well_formed(refresh_token) else ""


def generation_of(refresh_token: str) -> int:
    """How often it was rotated, from 1; 0 when it is none of Gatebook's."""
    if not _well_formed(refresh_token):
        return 0
    number = 0
    for digit in refresh_token[_GENERATION]:
        number = number * len(_DIGITS) + _DIGITS.index(digit)
    return number


def newest(*refresh_tokens: str | None) -> str | None:
    """The one that was rotated most; the first of equals."""
    held = [each for each in refresh_tokens if each]
    return max(held, key=generation_of, default=None)


def _well_formed(token: str) -> bool:
    return (
        len(token) == _LENGTH
        and token.startswith(PREFIX)
        and all(each in _DIGITS for each in token[len(PREFIX) :])
    )
