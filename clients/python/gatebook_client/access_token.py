"""An access token's form and claims, as strictly as the service writes them (RFC 9068, RFC 8725).

Knows neither where keys come from nor what was revoked.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

import msgspec

from gatebook_client.caller import Caller
from gatebook_client.errors import TokenExpired, TokenRefused
from gatebook_client.keys import PublicKey, decode

MAX_BYTES: Final = 8 * 1024
MAX_LEEWAY: Final = 60.0
"""Seconds; also how far the clock of whoever signs may be ahead."""
_MAX_LIFE: Final = 3600
_JTI_LENGTH: Final = 22
_SID_LENGTH: Final = 22
_MOST: Final = 2**53
_TEXTS: Final = ("iss", "sub", "aud", "jti", "client_id", "sid", "user_id", "scope")
_MOMENTS: Final = ("iat", "exp", "auth_time")

_NONE: Final[frozenset[str]] = frozenset()


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["ES256", "EdDSA", "RS256"]
    typ: Literal["at+jwt"]
    kid: str


_headers: Final = msgspec.json.Decoder(_Header)
_claims: Final = msgspec.json.Decoder(dict[str, Any])
_encoder: Final = msgspec.json.Encoder()


class Form(NamedTuple):
    """A token taken apart; nothing in it is proved yet."""

    header: bytes
    """The segment as it stands there."""
    claims: bytes
    signature: bytes
    signed: bytes
    """What the signature is over."""


def take_apart(token: object) -> Form:
    """The parts of a token in compact form; raises TokenRefused."""
    if not isinstance(token, str) or len(token) > MAX_BYTES:
        raise refusal()
    try:
        data, _, signature = token.encode("ascii").rpartition(b".")
        header, claims = data.split(b".")
        return Form(header, decode(claims), decode(signature), data)
    except ValueError:
        raise refusal() from None


def kid_of(form: Form) -> str | None:
    """The key that a token names, if its header may be one; read only where no key has it."""
    try:
        return _headers.decode(decode(form.header)).kid
    except (ValueError, RecursionError):
        return None


def check(
    form: Form, key: PublicKey, *, issuer: str, audience: str, now: float, leeway: float
) -> Caller:
    """Who the token is of; `now` is in seconds since the epoch.

    The header was found to be the key's, byte for byte. Claims are read after the signature was
    found right, never before, and spelled as the service spells them: without white space,
    repeated members or needless escapes, with numbers that are whole and below 2^53. Claims that
    aren't known are passed over.

    Raises TokenExpired for a genuine token that is past its time, TokenRefused for all else.
    """
    if not key.signed(form.signature, form.signed):
        raise refusal()
    try:
        claims = _claims.decode(form.claims)
        spelled = _encoder.encode(claims)
        whole = _whole(claims)
    except (ValueError, RecursionError):
        raise refusal() from None
    if spelled != form.claims or not whole or not _typed(claims):
        raise refusal()
    iat, exp, auth_time, latest = claims["iat"], claims["exp"], claims["auth_time"], now + 60
    sub, scope = claims["sub"], claims["scope"]
    if (
        claims["iss"] != issuer
        or claims["aud"] != audience
        or claims["client_id"] != sub
        or not sub
        or len(claims["sid"]) != _SID_LENGTH
        or len(claims["jti"]) != _JTI_LENGTH
        or not 0 < exp - iat <= _MAX_LIFE
        or iat > latest
        or auth_time > latest
        or ("nbf" in claims and not _begun(claims["nbf"], latest))
    ):
        raise refusal()
    if now >= exp + leeway:
        raise TokenExpired("The access token has expired. Refresh it.")
    return Caller(
        sub,
        claims["user_id"],
        claims["sid"],
        frozenset(scope.split(" ")) if scope else _NONE,
        iat,
        exp,
        auth_time,
        claims["jti"],
    )


def refusal() -> TokenRefused:
    """One for every token that isn't genuine: what is wrong is nobody's business."""
    return TokenRefused("The access token is not accepted.")


def _whole(value: object) -> bool:
    """Whether its numbers are whole, and not so large that some reader takes them for others."""
    if isinstance(value, dict):
        return all(map(_whole, value.values()))
    if isinstance(value, list):
        return all(map(_whole, value))
    if type(value) is int:
        return -_MOST < value < _MOST
    return type(value) is not float


def _typed(claims: dict[str, Any]) -> bool:
    try:
        for name in _TEXTS:
            if type(claims[name]) is not str:
                return False
        for name in _MOMENTS:
            value = claims[name]
            if type(value) is not int or value < 0:
                return False
    except KeyError:
        return False
    return True


def _begun(nbf: object, latest: float) -> bool:
    return type(nbf) is int and 0 <= nbf <= latest
