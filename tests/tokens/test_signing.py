"""Signing keys: their names, their public form, their storage, their signatures."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.tokens.signing import Algorithm, SigningKey, VerifyingKey, thumbprint
from domain.errors import Damage

REQUIRED = {
    "ES256": {"kty", "crv", "x", "y"},
    "EdDSA": {"kty", "crv", "x"},
    "RS256": {"kty", "n", "e"},
}
SIGNATURE_BYTES = {"ES256": 64, "EdDSA": 64, "RS256": 384}


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    jwk = {
        "kty": "RSA",
        "n": (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B"
            "JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_F"
            "DW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4"
            "vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        ),
        "e": "AQAB",
        "alg": "RS256",
        "kid": "2011-04-29",
    }
    assert thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_kid_is_the_thumbprint_of_the_public_key(key: SigningKey) -> None:
    members = {k: v for k, v in key.public_jwk().items() if k in REQUIRED[key.algorithm]}
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    digest = base64.urlsafe_b64encode(sha256(canonical).digest()).decode().rstrip("=")
    assert key.kid == digest == key.public_jwk()["kid"]


def test_the_public_jwk_holds_public_members_and_nothing_else(key: SigningKey) -> None:
    jwk = key.public_jwk()
    assert set(jwk) == REQUIRED[key.algorithm] | {"kid", "alg", "use"}
    assert (jwk["alg"], jwk["use"]) == (key.algorithm, "sig")
    assert not any("=" in value for value in jwk.values())


def test_a_coordinate_keeps_its_leading_zero() -> None:
    # One key in 256 has an x that starts with a zero byte; these private values do.
    shortest = 256
    seen = 0
    for scalar in range(1, 2000):
        private = ec.derive_private_key(scalar, ec.SECP256R1())
        point = private.public_key().public_numbers()
        bits = min(point.x.bit_length(), point.y.bit_length())
        if bits <= 248:
            seen += 1
            shortest = min(shortest, bits)
            der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            jwk = SigningKey.from_pkcs8("ES256", der).public_jwk()
            assert (len(jwk["x"]), len(jwk["y"])) == (43, 43)
            assert VerifyingKey.from_jwk(jwk).public_jwk() == jwk
        if seen == 3:
            break
    assert seen == 3
    assert shortest <= 248


def test_each_key_is_new() -> None:
    assert SigningKey.generate("ES256").kid != SigningKey.generate("ES256").kid


def test_a_generated_key_is_of_the_algorithm_asked_for(
    key: SigningKey, algorithm: Algorithm
) -> None:
    assert key.algorithm == algorithm
    assert set(REQUIRED) == set(get_args(Algorithm))


def test_a_stored_key_is_the_same_key_again(key: SigningKey) -> None:
    again = SigningKey.from_pkcs8(key.algorithm, key.to_pkcs8())
    assert again.public_jwk() == key.public_jwk()
    assert key.verifying_key.verify(b"data", again.sign(b"data"))


def test_a_stored_key_is_bound_to_its_algorithm(
    es256_key: SigningKey, eddsa_key: SigningKey, rs256_key: SigningKey
) -> None:
    """Security rule 13."""
    for key in (es256_key, eddsa_key, rs256_key):
        for algorithm in get_args(Algorithm):
            if algorithm != key.algorithm:
                with pytest.raises(Damage):
                    SigningKey.from_pkcs8(algorithm, key.to_pkcs8())


@pytest.mark.parametrize("der", [b"", b"\x30", b"-----BEGIN PRIVATE KEY-----", bytes(64)])
def test_bytes_that_are_no_key_are_damage(der: bytes) -> None:
    with pytest.raises(Damage) as refusal:
        SigningKey.from_pkcs8("ES256", der)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "private",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed448.Ed448PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "secp256k1", "Ed448", "RSA 2048"],
)
@pytest.mark.parametrize("algorithm", get_args(Algorithm), indirect=False)
def test_a_key_of_another_curve_or_size_is_damage(
    private: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey,
    algorithm: Algorithm,
) -> None:
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Damage):
        SigningKey.from_pkcs8(algorithm, der)


def test_a_key_of_another_kind_is_damage() -> None:
    private = dsa.generate_private_key(1024)  # noqa: S505 - small, so quick to make; it is refused
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Damage):
        SigningKey.from_pkcs8("ES256", der)


def test_an_encrypted_key_is_damage() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    der = private.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    with pytest.raises(Damage):
        SigningKey.from_pkcs8("ES256", der)


def test_a_signature_is_a_raw_jws_signature(key: SigningKey) -> None:
    for data in (b"", b"data", bytes(10_000)):
        assert len(key.sign(data)) == SIGNATURE_BYTES[key.algorithm]


def test_eddsa_signs_as_in_rfc_8037() -> None:
    seed = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    der = bytes.fromhex("302e020100300506032b657004220420") + seed
    key = SigningKey.from_pkcs8("EdDSA", der)
    signature = key.sign(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
    assert base64.urlsafe_b64encode(signature).decode().rstrip("=") == (
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )


def test_a_published_key_verifies_what_its_private_half_signed(key: SigningKey) -> None:
    published = VerifyingKey.from_jwk(key.public_jwk())
    assert published.kid == key.kid
    assert published.header == key.verifying_key.header
    signature = key.sign(b"data")
    assert published.verify(b"data", signature)
    assert not published.verify(b"date", signature)


def test_another_keys_signature_is_refused(
    es256_key: SigningKey, eddsa_key: SigningKey, rs256_key: SigningKey
) -> None:
    """Security rule 13."""
    other = SigningKey.generate("ES256")
    for key in (es256_key, eddsa_key, rs256_key):
        for signer in (es256_key, eddsa_key, rs256_key, other):
            if signer is not key:
                assert not key.verifying_key.verify(b"data", signer.sign(b"data"))


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 0), (0, 1), (1, 0), (1, 1), (ORDER, ORDER), (0, ORDER), (2**256 - 1, 2**256 - 1)],
)
def test_es256_numbers_out_of_range_are_refused(es256_key: SigningKey, r: int, s: int) -> None:
    """Security rule 13: an implementation that skips the range check takes (0, 0) for all."""
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert not es256_key.verifying_key.verify(b"data", signature)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=520)
    | st.sampled_from([64, 384]).flatmap(lambda n: st.binary(min_size=n, max_size=n))
)
def test_a_made_up_signature_is_refused_and_never_a_fault(
    key: SigningKey, signature: bytes
) -> None:
    """Security rule 13."""
    assert not key.verifying_key.verify(b"data", signature)


def test_a_signature_of_another_length_is_refused(key: SigningKey) -> None:
    """Security rule 13."""
    signature = key.sign(b"data")
    for other in (signature + b"\0", b"\0" + signature, signature[:-1], signature[1:], b""):
        assert not key.verifying_key.verify(b"data", other)


def test_an_es256_number_with_a_zero_more_is_refused(es256_key: SigningKey) -> None:
    """Security rule 13: the same two numbers in 65 bytes would be a second signature."""
    signature = es256_key.sign(b"data")
    assert es256_key.verifying_key.verify(b"data", signature)
    longer = signature[:32] + b"\0" + signature[32:]
    assert not es256_key.verifying_key.verify(b"data", longer)


def test_a_jwk_that_is_not_exactly_ours_is_damage(key: SigningKey) -> None:
    jwk = key.public_jwk()
    first = "n" if key.algorithm == "RS256" else "x"
    wrong: list[dict[str, str]] = [
        {},
        {"keys": "x"},
        jwk | {"kid": SigningKey.generate("ES256").kid},
        jwk | {"kid": ""},
        jwk | {"alg": "HS256"},
        jwk | {"alg": "none"},
        jwk | {"use": "enc"},
        jwk | {"kty": "oct"},
        jwk | {"d": "AAAA"},
        jwk | {"x5u": "https://evil.example"},
        jwk | {first: jwk[first] + "="},
        jwk | {first: "AA" + jwk[first]},
        jwk | {first: jwk[first][:-4]},
        jwk | {first: ""},
        jwk | {first: "Ä"},
        *({k: v for k, v in jwk.items() if k != gone} for gone in jwk),
    ]
    for changed in wrong:
        with pytest.raises(Damage):
            VerifyingKey.from_jwk(changed)


def test_a_point_off_the_curve_is_damage(es256_key: SigningKey) -> None:
    jwk = es256_key.public_jwk()
    with pytest.raises(Damage):
        VerifyingKey.from_jwk(jwk | {"y": jwk["x"]})


def test_a_jwk_of_the_wrong_types_is_damage(key: SigningKey) -> None:
    jwk = key.public_jwk()
    wrong: list[object] = [None, 1, [], b"x"]
    for member in jwk:
        for value in wrong:
            with pytest.raises(Damage):
                VerifyingKey.from_jwk(jwk | {member: value})  # type: ignore[arg-type]


def test_a_key_shows_its_kid_alone(key: SigningKey) -> None:
    """Security rule 19."""
    assert repr(key) == str(key) == f"SigningKey({key.kid!r})"
    assert repr(key.verifying_key) == f"VerifyingKey({key.kid!r})"


def test_a_key_does_not_change(key: SigningKey) -> None:
    for held, name in ((key, "_private"), (key.verifying_key, "algorithm")):
        with pytest.raises(AttributeError):
            setattr(held, name, "none")
