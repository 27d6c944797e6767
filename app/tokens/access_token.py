"""Access tokens: the claims in one, and how it is signed and checked (RFC 9068, RFC 7515).

Must not know sessions, users or HTTP: a token that is good here may still be revoked.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from app.tokens import base64url
from domain.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.tokens.signing import SigningKey, VerifyingKey

MAX_TOKEN_BYTES: Final = 8 * 1024
MAX_LIFETIME: Final = 3600
"""Seconds from `iat` to `exp`."""
MAX_LEEWAY: Final = 60
"""Seconds; also how far another process's clock may run ahead of this one's."""
JTI_LENGTH: Final = 22

_MICROSECONDS: Final = 1_000_000

Seconds = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A NumericDate (RFC 7519 §2) that every JSON reader holds exactly."""


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an access token says; its times are whole seconds since the epoch.

    `sub` and `client_id` are the user_key, `user_id` the name as typed, `auth_time` the
    session's start, `scope` the permissions, sorted and parted by single spaces.
    """

    iss: str
    sub: str
    aud: str
    iat: Seconds
    exp: Seconds
    jti: str
    client_id: str
    sid: str
    user_id: str
    auth_time: Seconds
    scope: str


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Claims)


def new_jti() -> str:
    """Draw a token id: 128 random bits as 22 characters of base64url."""
    return secrets.token_urlsafe(16)


def sign(claims: Claims, key: SigningKey) -> str:
    """Write `claims` as a JWT in compact form, signed by `key`."""
    signed = key.verifying_key.header + b"." + base64url.encode(_encoder.encode(claims))
    return (signed + b"." + base64url.encode(key.sign(signed))).decode("ascii")


def verify(
    token: str,
    *,
    keys: Mapping[str, VerifyingKey],
    issuer: str,
    audience: str,
    now: int,
    leeway: int = 0,
) -> Claims:
    """Check a token that this service signed, and give its claims (RFC 9068 §4, RFC 8725).

    A token is good only if it is, byte for byte, what `sign` writes: its header is one of the
    headers of `keys`, its segments are canonical base64url, and its claims are spelled as here.
    So no other member, order, number format, repetition or serialisation has to be thought of.
    Claims are read after the signature was found right, never before. `client_id` is `sub`, `jti`
    as long as `new_jti` makes it; `exp` is at most 3600 s after `iat`; `iat` and `auth_time` are at
    most 60 s ahead of `now`.

    Args:
        token: anything at all; it is never used as a key of anything.
        keys: the keys that are trusted now, by `kid`.
        issuer: the only `iss`.
        audience: the only `aud`.
        now: µs.
        leeway: seconds that `exp` may have passed by, 0 to 60.

    Raises:
        InvalidToken: with reason `expired` for a genuine token that is past its `exp`, without
            a reason for whatever else is wrong.
        ValueError: `leeway` is out of its range.
    """
    claims = genuine(token, keys)
    check(claims, issuer=issuer, audience=audience, now=now, leeway=leeway)
    return claims


def check(claims: Claims, *, issuer: str, audience: str, now: int, leeway: int = 0) -> None:
    """Check what a genuine token claims, as `verify` does, and raise what it raises."""
    if not 0 <= leeway <= MAX_LEEWAY:
        message = f"leeway is 0 to {MAX_LEEWAY} seconds"
        raise ValueError(message)
    latest = now + MAX_LEEWAY * _MICROSECONDS
    if (
        claims.iss != issuer
        or claims.aud != audience
        or claims.client_id != claims.sub
        or len(claims.jti) != JTI_LENGTH
        or not 0 < claims.exp - claims.iat <= MAX_LIFETIME
        or claims.iat * _MICROSECONDS > latest
        or claims.auth_time * _MICROSECONDS > latest
    ):
        raise InvalidToken
    if now >= (claims.exp + leeway) * _MICROSECONDS:
        message = "The access token has expired. Refresh it."
        raise InvalidToken(message, reason="expired")


def genuine(token: str, keys: Mapping[str, VerifyingKey]) -> Claims:
    """Give the claims of a token whose form and signature are right, whenever it was good."""
    # The type is checked too: a caller's mistake must not become a fault of another kind.
    if not isinstance(token, str) or len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken
    try:
        header, payload, signature = token.encode("ascii").split(b".", 3)
        written, signed_with = base64url.decode(payload), base64url.decode(signature)
    except ValueError:
        raise InvalidToken from None
    # The header is compared, not read: what an attacker writes there never meets a parser.
    # A ring holds a handful of keys.
    for key in keys.values():
        if key.header == header:
            break
    else:
        raise InvalidToken
    if not key.verify(header + b"." + payload, signed_with):
        raise InvalidToken
    try:
        claims = _decoder.decode(written)
    except ValueError:  # msgspec's own errors too
        raise InvalidToken from None
    # The reader takes repeated members, white space and 1.0 for 1; the writer has one spelling.
    if _encoder.encode(claims) != written:
        raise InvalidToken
    return claims
