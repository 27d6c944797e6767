"""Public keys: read from a key set (RFC 7517), each bound to the one algorithm it is used with.

Knows no claim, and not where key sets come from.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

TYPE: Final = "at+jwt"
"""What the header of an access token says it is (RFC 9068 §2.1)."""
_HALF: Final = 32
"""Bytes of a P-256 coordinate, and of each half of an ES256 signature (RFC 7518 §3.4)."""
_RSA_BITS: Final = range(2048, 8193)
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")

# The library reads these and never changes them: one each serves every thread.
_SHA256: Final = SHA256()
_ECDSA: Final = ECDSA(_SHA256)
_PKCS1: Final = PKCS1v15()

Verify = Callable[[bytes, bytes], None]
"""Of a signature and what it is over; raises InvalidSignature, or ValueError."""


class Jwk(msgspec.Struct, frozen=True):
    """One key as it is published; members that aren't known are passed over."""

    kty: str
    kid: str = ""
    alg: str = ""
    use: str = "sig"
    crv: str = ""
    x: str = ""
    y: str = ""
    n: str = ""
    e: str = ""


class PublicKey:
    """A key, and the one header that tokens signed by it have."""

    __slots__ = ("_check", "algorithm", "header", "kid")

    def __init__(self, jwk: Jwk) -> None:
        made = _MAKERS.get((jwk.kty, jwk.alg))
        if made is None or jwk.use != "sig":
            raise ValueError("not a key for access tokens")
        members, self._check = made(jwk)
        self.algorithm = jwk.alg
        self.kid = thumbprint(members)
        if self.kid != jwk.kid:
            raise ValueError("the kid is not the key's thumbprint")
        self.header = header_of(self.algorithm, self.kid)

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Whether `signature`, as a JWS holds it, is this key's over `data`."""
        try:
            self._check(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


def header_of(algorithm: str, kid: str) -> bytes:
    """The first segment of each token that is signed by a key."""
    return encode(msgspec.json.encode({"alg": algorithm, "typ": TYPE, "kid": kid}))


def encode(data: bytes) -> bytes:
    """base64url without padding (RFC 7515 §2)."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """The bytes of the one text that `encode` writes for them; raises ValueError for any other.

    So padding, foreign characters and set trailing bits are refused.
    """
    data = a2b_base64(text.translate(_FROM_URL) + b"==")
    if encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def read_key(jwk: object) -> PublicKey | None:
    """A key of a set that access tokens are signed with; None for any other (RFC 7517 §5)."""
    try:
        return PublicKey(msgspec.convert(jwk, Jwk))
    except (ValueError, UnsupportedAlgorithm):
        return None


def thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638: over the members that make the key, sorted."""
    text = msgspec.json.encode(dict(sorted(members.items())))
    return encode(hashlib.sha256(text).digest()).decode()


def _number(text: str) -> int:
    return int.from_bytes(decode(text.encode()), "big")


def _es256(jwk: Jwk) -> tuple[dict[str, str], Verify]:
    if jwk.crv != "P-256":
        raise ValueError("another curve")
    key = EllipticCurvePublicNumbers(_number(jwk.x), _number(jwk.y), SECP256R1()).public_key()
    verify = key.verify

    def check(signature: bytes, data: bytes) -> None:
        if len(signature) != 2 * _HALF:
            raise InvalidSignature
        r = int.from_bytes(signature[:_HALF], "big")
        s = int.from_bytes(signature[_HALF:], "big")
        verify(encode_dss_signature(r, s), data, _ECDSA)

    return {"crv": jwk.crv, "kty": jwk.kty, "x": jwk.x, "y": jwk.y}, check


def _eddsa(jwk: Jwk) -> tuple[dict[str, str], Verify]:
    if jwk.crv != "Ed25519":
        raise ValueError("another curve")
    key = Ed25519PublicKey.from_public_bytes(decode(jwk.x.encode()))
    return {"crv": jwk.crv, "kty": jwk.kty, "x": jwk.x}, key.verify


def _rs256(jwk: Jwk) -> tuple[dict[str, str], Verify]:
    key = RSAPublicNumbers(_number(jwk.e), _number(jwk.n)).public_key()
    if key.key_size not in _RSA_BITS:
        raise ValueError("too short, or too long")
    verify = key.verify

    def check(signature: bytes, data: bytes) -> None:
        verify(signature, data, _PKCS1, _SHA256)

    return {"e": jwk.e, "kty": jwk.kty, "n": jwk.n}, check


_MAKERS: Final[dict[tuple[str, str], Callable[[Jwk], tuple[dict[str, str], Verify]]]] = {
    ("EC", "ES256"): _es256,
    ("OKP", "EdDSA"): _eddsa,
    ("RSA", "RS256"): _rs256,
}
