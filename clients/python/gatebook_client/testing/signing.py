"""The stand-in's key: made for the occasion, published as a JWK, and what it signs.

Knows nothing of what is in a token.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from gatebook_client.keys import encode, header_of, read_key, thumbprint

_HALF: Final = 32


class Signer:
    """One ES256 key."""

    def __init__(self) -> None:
        self._key = generate_private_key(SECP256R1())
        numbers = self._key.public_key().public_numbers()
        members = {
            "crv": "P-256",
            "kty": "EC",
            "x": encode(numbers.x.to_bytes(_HALF, "big")).decode(),
            "y": encode(numbers.y.to_bytes(_HALF, "big")).decode(),
        }
        self.jwk = {**members, "alg": "ES256", "use": "sig", "kid": thumbprint(members)}
        """What is published of it."""
        if read_key(self.jwk) is None:
            raise AssertionError(self.jwk)

    def __repr__(self) -> str:
        """Without the private half."""
        return f"Signer({self.jwk['kid']!r})"

    def signed(self, payload: dict[str, Any]) -> str:
        """A token with these claims."""
        signed = header_of("ES256", self.jwk["kid"]) + b"." + encode(msgspec.json.encode(payload))
        r, s = decode_dss_signature(self._key.sign(signed, ECDSA(SHA256())))
        signature = r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")
        return (signed + b"." + encode(signature)).decode()
