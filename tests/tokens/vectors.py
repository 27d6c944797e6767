"""Project Wycheproof's vectors for signatures, tokens and keys of the algorithms used here.

Reads `tests/tokens/wycheproof`, whose README says where it is from. Knows no verifier.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.tokens import base64url
from app.tokens.signing import SigningKey, thumbprint
from tests.tokens.forging import forge

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parent / "wycheproof"
SHA256: Final = {
    "LICENSE": "58d1e17ffe5109a7ae296caafcadfdbe6a7d176f0bc4ab01e12a689b0499d8bd",
    "ecdsa_secp256r1_sha256_p1363_test.json": (
        "c60de693930e386c3a5472d08081623ef8504decc54b38ac01ec6b2a2575c986"
    ),
    "ed25519_test.json": "752d2ea7d7c6cf4736381b6cbacb61f8182b126ab7cd9b058f00c50084975536",
    "json_web_key_test.json": "be983255bce26406f97020ec5458b33930a90d5f868e604fcd569c300aba2862",
    "json_web_signature_test.json": (
        "8e687a06fe8359f4ec51480f1a9f73c8faebd6f4c01b818b843b44eee54fd5d9"
    ),
    "rsa_signature_3072_sha256_test.json": (
        "0f5f18cabfaad3e2792e82f7e9882f8999049b456714de924b8a5e202f61ca43"
    ),
}
"""Of each file, as it was published."""
RIGHT: Final = {"valid": True, "acceptable": False, "invalid": False}
"""Whether such a signature must be accepted: what is merely `acceptable` is malformed."""

_TOKENS: Final = ("json_web_signature_test.json", "json_web_key_test.json")

_OF_WRONG_KEYS: Final = frozenset({6, 8, 9, *range(19, 25)})
"""Where it is the key that is wrong, and for all who may verify with it."""

Jwk = dict[str, Any]


class Signed(NamedTuple):
    """A signature, the key that it is said to be of, and whether it must be accepted."""

    name: str
    jwk: Jwk
    message: bytes
    signature: bytes
    right: bool


class Shown(NamedTuple):
    """A token as text, or as JSON, and the keys that it is shown with."""

    name: str
    keys: list[Jwk]
    token: object
    right: bool


def signatures(algorithm: str) -> Iterator[Signed]:
    """All of one algorithm's."""
    name, members = _SIGNATURES[algorithm]
    for group in _groups(name):
        jwk = published({**members(group), "alg": algorithm, "use": "sig"})
        for each in group["tests"]:
            yield Signed(
                f"{name} {each['tcId']}: {each['comment']}",
                jwk,
                bytes.fromhex(each["msg"]),
                bytes.fromhex(each["sig"]),
                RIGHT[each["result"]],
            )


def tokens() -> Iterator[Shown]:
    """Every token that is shown with keys, public ones or shared ones."""
    for name in _TOKENS:
        for group in _groups(name):
            for each in group["tests"]:
                yield Shown(
                    f"{name} {each['tcId']}: {each['comment']}",
                    _keys(group.get("public") or group["private"]),
                    each["jws"],
                    RIGHT[each["result"]],
                )


def wrong_keys() -> Iterator[Jwk]:
    """Keys that nothing may be verified with, each alone under its own kid."""
    for group in _groups("json_web_key_test.json"):
        (first, *_) = group["tests"]
        if first["tcId"] in _OF_WRONG_KEYS:
            yield from _keys(group["public"])


def ours() -> tuple[str, Jwk]:
    """An access token that a service of ours would write, signed by a key of theirs; the key."""
    (group, *_) = (each for each in _groups(_TOKENS[0]) if each["comment"] == "es256")
    private = group["private"]
    number = int.from_bytes(base64url.decode(private["d"].encode()), "big")
    der = derive_private_key(number, SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    key = SigningKey.from_pkcs8("ES256", der)
    return forge(key), key.public_jwk()


def published(jwk: Jwk) -> Jwk:
    """The key under the kid that a service of ours would give it, if it has all it needs."""
    try:
        return {**jwk, "kid": thumbprint(jwk)}
    except KeyError:
        return jwk


def _p256(group: Jwk) -> Jwk:
    # Odd points have no JWK there, but are points all the same.
    x, y = (_base64url(group["publicKey"][each], 32) for each in ("wx", "wy"))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _ed25519(group: Jwk) -> Jwk:
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(group["publicKey"]["pk"], 32)}


def _rsa(group: Jwk) -> Jwk:
    key = group["publicKey"]
    return {"kty": "RSA", "n": _base64url(key["modulus"]), "e": _base64url(key["publicExponent"])}


def _base64url(number: str, width: int = 0) -> str:
    """As a JWK has it, of hexadecimal digits; `width` in bytes, 0 for as few as it takes."""
    raw = bytes.fromhex(number).lstrip(b"\0").rjust(width, b"\0")
    return base64url.encode(raw).decode()


_SIGNATURES: Final = {
    "ES256": ("ecdsa_secp256r1_sha256_p1363_test.json", _p256),
    "EdDSA": ("ed25519_test.json", _ed25519),
    "RS256": ("rsa_signature_3072_sha256_test.json", _rsa),
}


def _keys(given: Jwk) -> list[Jwk]:
    keys: list[Jwk] = given.get("keys", [given])
    return [published(each) for each in keys]


def _groups(name: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads((FOLDER / name).read_bytes())["testGroups"]
    return groups
