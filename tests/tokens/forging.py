"""Tokens as an attacker, or a careless signer, would write them.

Signs with real keys whatever header and payload it is given, so that a refusal is for the one
thing that a test changed. Must not use the code under test to write the parts it changes.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
)

from app.tokens.access_token import Claims, verify
from domain.errors import InvalidToken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.tokens.signing import SigningKey

ISSUER = "https://auth.example"
AUDIENCE = "https://api.example"
SECOND = 1_000_000
ISSUED = 1_800_000_000
NOW = ISSUED * SECOND
"""µs: the moment in which `CLAIMS` was issued."""

CLAIMS = Claims(
    iss=ISSUER,
    sub="uk_06bj3v8q2s4x7z9abcdefghjkm",
    aud=AUDIENCE,
    iat=ISSUED,
    exp=ISSUED + 3600,
    jti="bHVja3kgbnVtYmVyIDEyMw",
    client_id="uk_06bj3v8q2s4x7z9abcdefghjkm",
    sid="0aZ3kPq8TnVbXy12LmWdRs",
    user_id="Ada Łovelace",
    auth_time=ISSUED - 86_400,
    scope="admin users:read",
)

Json = str | int | float | bool | list["Json"] | dict[str, "Json"] | None


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def compact(value: Mapping[str, Json], *, ascii_only: bool = False) -> bytes:
    """Write JSON as the service does: no space, in the order given."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode("utf-8")


def header_of(key: SigningKey) -> dict[str, Json]:
    return {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid}


def payload() -> dict[str, Json]:
    return {name: getattr(CLAIMS, name) for name in CLAIMS.__struct_fields__}


def forge(key: SigningKey, header: bytes | None = None, written: bytes | None = None) -> str:
    """Sign any header and payload with `key`; what is left out is as the service writes it."""
    header = compact(header_of(key)) if header is None else header
    written = compact(payload()) if written is None else written
    signed = f"{b64(header)}.{b64(written)}"
    return f"{signed}.{b64(key.sign(signed.encode('ascii')))}"


def shared_secrets(key: SigningKey) -> list[bytes]:
    """Give every text of a public key that a confused verifier might use as an HMAC secret."""
    public = load_der_private_key(key.to_pkcs8(), password=None).public_key()
    spki = PublicFormat.SubjectPublicKeyInfo
    pem = public.public_bytes(Encoding.PEM, spki)
    jwk = key.public_jwk()
    return [
        b"",
        pem,
        pem.strip(),
        public.public_bytes(Encoding.DER, spki),
        json.dumps(jwk).encode(),
        compact(dict(jwk)),
        jwk["kid"].encode(),
        jwk.get("x", jwk.get("n", "")).encode(),
    ]


def check(token: str, key: SigningKey, *, now: int = NOW, leeway: int = 0) -> Claims:
    """Verify as the service does, trusting `key` alone."""
    return verify(
        token,
        keys={key.kid: key.verifying_key},
        issuer=ISSUER,
        audience=AUDIENCE,
        now=now,
        leeway=leeway,
    )


def refuse(token: str, key: SigningKey) -> None:
    """Demand the plain refusal, without a reason: the token is not genuine."""
    with pytest.raises(InvalidToken) as refusal:
        check(token, key)
    assert refusal.value.reason is None
