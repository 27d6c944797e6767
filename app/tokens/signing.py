"""The keys that sign access tokens: made, stored, published, and used.

Must not know which key is the active one, nor how the private part is wrapped at rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    RSAPublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from app.tokens import base64url
from domain.errors import Damage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

Algorithm = Literal["ES256", "EdDSA", "RS256"]

PrivateKey = EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey
PublicKey = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey
_PRIVATE_KEYS = (EllipticCurvePrivateKey, Ed25519PrivateKey, RSAPrivateKey)

_COORDINATE: Final = 32
"""Bytes of a P-256 coordinate, and of each half of an ES256 signature (RFC 7518 §3.4)."""
_ED25519_SIGNATURE: Final = 64
_RSA_BITS: Final = 3072
_RSA_EXPONENT: Final = 65537

# The library reads these and never changes them: one each serves every thread.
_P256 = SECP256R1()
_SHA256 = SHA256()
_ECDSA = ECDSA(_SHA256)
_PKCS1 = PKCS1v15()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VerifyingKey:
    """A public key, bound to the one algorithm it is used with.

    `kid` is the RFC 7638 thumbprint. `header` is the protected header of every access token
    that the key's private half signs, as its base64url segment (RFC 9068 §2.1).
    """

    kid: str
    algorithm: Algorithm
    header: bytes
    _public: PublicKey

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, str]) -> VerifyingKey:
        """Read a key from exactly what `public_jwk` writes.

        Raises:
            Damage: a member is missing, foreign or malformed, or the `kid` is not the key's own.
        """
        try:
            key = _verifying(_public_from_jwk(jwk))
        except (AttributeError, KeyError, TypeError, ValueError, UnsupportedAlgorithm):
            raise _damaged() from None
        # One comparison refuses padding, foreign members, and a `kid` or `alg` of another key.
        if key.public_jwk() != jwk:
            raise _damaged()
        return key

    def public_jwk(self) -> dict[str, str]:
        """Give the public members, `kid`, `alg` and `use` (RFC 7517 §4, RFC 7518 §6, RFC 8037)."""
        return _required_members(self._public) | {
            "kid": self.kid,
            "alg": self.algorithm,
            "use": "sig",
        }

    def members(self) -> dict[str, str]:
        """Give the members that make the key, and nothing that follows from them (RFC 7638)."""
        return _required_members(self._public)

    @classmethod
    def of(cls, kid: str, algorithm: Algorithm, members: Mapping[str, str]) -> VerifyingKey:
        """Read a key from its `members`; raises `Damage` when `kid` or algorithm isn't theirs."""
        return cls.from_jwk({**members, "kid": kid, "alg": algorithm, "use": "sig"})

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Tell whether `signature`, as a JWS holds it, is this key's over `data`."""
        public = self._public
        try:
            if isinstance(public, EllipticCurvePublicKey):
                if len(signature) != 2 * _COORDINATE:
                    return False
                r = int.from_bytes(signature[:_COORDINATE], "big")
                s = int.from_bytes(signature[_COORDINATE:], "big")
                public.verify(encode_dss_signature(r, s), data, _ECDSA)
            elif isinstance(public, Ed25519PublicKey):
                if len(signature) != _ED25519_SIGNATURE:
                    return False
                public.verify(signature, data)
            else:
                if len(signature) != _RSA_BITS // 8:
                    return False
                public.verify(signature, data, _PKCS1, _SHA256)
        except InvalidSignature:
            return False
        return True

    def __repr__(self) -> str:
        return f"VerifyingKey({self.kid!r})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SigningKey:
    """A private key, parsed once, and its public half."""

    verifying_key: VerifyingKey
    _private: PrivateKey

    @classmethod
    def generate(cls, algorithm: Algorithm) -> SigningKey:
        """Make a new key: P-256, Ed25519 or RSA of 3072 bits (that one takes about a second)."""
        private: PrivateKey
        if algorithm == "ES256":
            private = generate_ec(_P256)
        elif algorithm == "EdDSA":
            private = Ed25519PrivateKey.generate()
        else:
            private = generate_rsa(_RSA_EXPONENT, _RSA_BITS)
        return cls(_verifying(private.public_key()), private)

    @classmethod
    def from_pkcs8(cls, algorithm: Algorithm, der: bytes) -> SigningKey:
        """Read back what `to_pkcs8` wrote.

        Raises:
            Damage: it is no private key of that algorithm.
        """
        try:
            private = load_der_private_key(der, password=None)
            verifying = _verifying(private.public_key())
        except (TypeError, ValueError, UnsupportedAlgorithm):
            # No cause is chained: a parser's message may quote what it was given.
            raise _damaged() from None
        if verifying.algorithm != algorithm or not isinstance(private, _PRIVATE_KEYS):
            raise _damaged()
        return cls(verifying, private)

    def to_pkcs8(self) -> bytes:
        """Give the private key as PKCS #8 DER, in clear: whoever stores it wraps it first."""
        return self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    @property
    def kid(self) -> str:
        """The RFC 7638 thumbprint."""
        return self.verifying_key.kid

    @property
    def algorithm(self) -> Algorithm:
        """The JWS algorithm, as in `alg`."""
        return self.verifying_key.algorithm

    def public_jwk(self) -> dict[str, str]:
        """Give the public half; see `VerifyingKey.public_jwk`."""
        return self.verifying_key.public_jwk()

    def sign(self, data: bytes) -> bytes:
        """Sign `data` as a JWS holds it; ES256 is r and s of 32 bytes each (RFC 7518 §3.4)."""
        private = self._private
        if isinstance(private, EllipticCurvePrivateKey):
            r, s = decode_dss_signature(private.sign(data, _ECDSA))
            return r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
        if isinstance(private, Ed25519PrivateKey):
            return private.sign(data)
        return private.sign(data, _PKCS1, _SHA256)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Hash the members that make a key what it is (RFC 7638 §3, RFC 8037 §2)."""
    names = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
    canonical = msgspec.json.encode({name: jwk[name] for name in names[jwk["kty"]]})
    return base64url.encode(hashlib.sha256(canonical).digest()).decode("ascii")


def _verifying(public: PublicKeyTypes) -> VerifyingKey:
    """Name the key and write its header; ValueError for a key of no kind that is used here."""
    algorithm: Algorithm
    if isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        algorithm = "ES256"
    elif isinstance(public, Ed25519PublicKey):
        algorithm = "EdDSA"
    elif (
        isinstance(public, RSAPublicKey)
        and public.key_size == _RSA_BITS
        and public.public_numbers().e == _RSA_EXPONENT
    ):
        algorithm = "RS256"
    else:
        message = "neither P-256, Ed25519 nor RSA of 3072 bits"
        raise ValueError(message)
    kid = thumbprint(_required_members(public))
    header = msgspec.json.encode({"alg": algorithm, "typ": "at+jwt", "kid": kid})
    return VerifyingKey(kid, algorithm, base64url.encode(header), public)


def _required_members(public: PublicKey) -> dict[str, str]:
    """Write the required members of a public JWK; a coordinate keeps its leading zeros."""
    if isinstance(public, EllipticCurvePublicKey):
        point = public.public_numbers()
        x, y = _base64url_int(point.x, _COORDINATE), _base64url_int(point.y, _COORDINATE)
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    if isinstance(public, Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(raw).decode("ascii")}
    numbers = public.public_numbers()
    return {"kty": "RSA", "n": _base64url_int(numbers.n), "e": _base64url_int(numbers.e)}


def _public_from_jwk(jwk: Mapping[str, str]) -> PublicKey:
    if jwk["kty"] == "EC":
        x, y = _int(jwk["x"]), _int(jwk["y"])
        return EllipticCurvePublicNumbers(x, y, _P256).public_key()
    if jwk["kty"] == "OKP":
        return Ed25519PublicKey.from_public_bytes(base64url.decode(jwk["x"].encode("ascii")))
    return RSAPublicNumbers(e=_int(jwk["e"]), n=_int(jwk["n"])).public_key()


def _base64url_int(number: int, width: int | None = None) -> str:
    """Write a big-endian integer in `width` bytes, or in as few as hold it (RFC 7518 §2)."""
    width = width or (number.bit_length() + 7) // 8
    return base64url.encode(number.to_bytes(width, "big")).decode("ascii")


def _int(text: str) -> int:
    return int.from_bytes(base64url.decode(text.encode("ascii")), "big")


def _damaged() -> Damage:
    message = "A stored signing key is malformed. Rotate the signing keys, or restore a backup."
    return Damage(message)
