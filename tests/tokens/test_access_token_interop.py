"""Other people's libraries verify our tokens from the JWKS document alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk
import jwcrypto.jwt
import jwt
import pytest
import time_machine
from joserfc.errors import BadSignatureError
from jwcrypto.common import JWException

from app.tokens.access_token import sign
from tests.tokens.forging import AUDIENCE, CLAIMS, ISSUED, ISSUER, payload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.tokens.signing import SigningKey

# RFC 9864 gives this use of EdDSA the name Ed25519, which many verifiers don't know yet.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")

Read = tuple[dict[str, object], dict[str, object]]


def by_pyjwt(token: str, jwks: str, algorithm: str) -> Read:
    keys = jwt.PyJWKSet.from_json(jwks)
    read = jwt.decode_complete(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=[algorithm],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"]},
    )
    return read["header"], read["payload"]


def by_joserfc(token: str, jwks: str, algorithm: str) -> Read:
    keys = joserfc.jwk.KeySet.import_key_set(json.loads(jwks))
    read = joserfc.jwt.decode(token, keys, algorithms=[algorithm])
    joserfc.jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}
    ).validate(read.claims)
    return dict(read.header), dict(read.claims)


def by_jwcrypto(token: str, jwks: str, algorithm: str) -> Read:
    read = jwcrypto.jwt.JWT(
        jwt=token,
        key=jwcrypto.jwk.JWKSet.from_json(jwks),
        algs=[algorithm],
        expected_type="JWS",
        check_claims={"iss": ISSUER, "aud": AUDIENCE, "exp": None, "iat": None},
    )
    return json.loads(read.header), json.loads(read.claims)


@pytest.fixture(autouse=True)
def _at_the_time_of_issue() -> Iterator[None]:
    with time_machine.travel(ISSUED, tick=False):
        yield


READERS = [by_pyjwt, by_joserfc, by_jwcrypto]


@pytest.mark.parametrize("reader", READERS)
def test_a_library_verifies_our_token_from_the_jwks_alone(
    key: SigningKey, reader: Callable[[str, str, str], Read]
) -> None:
    jwks = json.dumps({"keys": [key.public_jwk()]})
    header, claims = reader(sign(CLAIMS, key), jwks, key.algorithm)
    assert header == {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid}
    assert claims == payload()


@pytest.mark.parametrize("reader", READERS)
def test_a_library_finds_the_key_among_others(
    key: SigningKey,
    es256_key: SigningKey,
    eddsa_key: SigningKey,
    rs256_key: SigningKey,
    reader: Callable[[str, str, str], Read],
) -> None:
    ring = [es256_key, eddsa_key, rs256_key]
    jwks = json.dumps({"keys": [held.public_jwk() for held in ring]})
    _, claims = reader(sign(CLAIMS, key), jwks, key.algorithm)
    assert claims == payload()


@pytest.mark.parametrize("reader", READERS)
def test_a_library_refuses_our_token_when_it_was_changed(
    key: SigningKey, reader: Callable[[str, str, str], Read]
) -> None:
    """The control: these readers do check the signature."""
    jwks = json.dumps({"keys": [key.public_jwk()]})
    header, written, signature = sign(CLAIMS, key).split(".")
    changed = f"{header}.{written}.{'AAAA' + signature[4:]}"
    with pytest.raises((jwt.InvalidSignatureError, BadSignatureError, JWException)):
        reader(changed, jwks, key.algorithm)


def test_other_libraries_compute_the_same_kid(key: SigningKey) -> None:
    public = key.public_jwk()
    assert joserfc.jwk.import_key(dict(public)).thumbprint() == key.kid
    assert jwcrypto.jwk.JWK(**public).thumbprint() == key.kid
