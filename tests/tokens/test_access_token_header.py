"""Tokens refused for their header: algorithm, type, key, and whatever else might be there.

Each is signed with the real key, so that the oddity alone is at fault; the control is
`test_a_forger_that_changes_nothing_writes_a_good_token`.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import pytest

from app.tokens.access_token import sign
from app.tokens.signing import SigningKey
from tests.tokens.forging import (
    CLAIMS,
    Json,
    b64,
    compact,
    forge,
    header_of,
    payload,
    refuse,
    shared_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    "alg",
    ["none", "None", "NONE", "nOnE", "none ", " none", "no\u0000ne", "NoNe", "", None, "null"],
)
@pytest.mark.parametrize("signed", ["unsigned", "no last segment", "signed"])
def test_no_algorithm_in_any_spelling(es256_key: SigningKey, alg: Json, signed: str) -> None:
    """Security rule 13."""
    token = forge(es256_key, compact(header_of(es256_key) | {"alg": alg}))
    without = token.rpartition(".")[0]
    forms = {"unsigned": without + ".", "no last segment": without, "signed": token}
    refuse(forms[signed], es256_key)


def test_a_good_token_without_its_signature(key: SigningKey) -> None:
    """Security rule 13."""
    without = sign(CLAIMS, key).rpartition(".")[0]
    refuse(without + ".", key)
    refuse(without, key)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("honest", [True, False], ids=["alg HS", "alg of the key"])
def test_an_hmac_with_the_public_key(key: SigningKey, digest: str, *, honest: bool) -> None:
    """Security rule 13."""
    alg = f"HS{digest[3:]}" if honest else key.algorithm
    signed = f"{b64(compact(header_of(key) | {'alg': alg}))}.{b64(compact(payload()))}"
    for secret in shared_secrets(key):
        mac = hmac.new(secret, signed.encode(), digest).digest()
        refuse(f"{signed}.{b64(mac)}", key)


@pytest.mark.parametrize(
    "alg",
    [
        "HS256", "HS512", "ES256", "ES256K", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448",
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "dir", "A128KW", "RSA-OAEP",
        "ECDH-ES", "es256", "eddsa", "rs256", "ES256 ", "ES256\n", 256, True, None, [], ["ES256"],
        {"alg": "ES256"},
    ],
)  # fmt: skip
def test_an_algorithm_that_is_not_the_keys(key: SigningKey, alg: Json) -> None:
    """Security rule 13."""
    header = header_of(key)
    if alg != header["alg"]:
        refuse(forge(key, compact(header | {"alg": alg})), key)


JWK: dict[str, Json] = {"kty": "oct", "k": "c2VjcmV0"}


@pytest.mark.parametrize(
    "added",
    [
        {"jwk": JWK},
        {"jwk": None},
        {"jku": "https://evil.example/jwks.json"},
        {"jku": "file:///etc/passwd"},
        {"x5u": "https://evil.example/chain.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"x5t#S256": "AAAA"},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": ["http://example.com/UNDEFINED"], "http://example.com/UNDEFINED": True},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"zip": ""},
        {"enc": "A128GCM"},
        {"cty": "JWT"},
        {"epk": {}},
        {"nonce": "n"},
        {"iss": "https://auth.example"},
        {"ALG": "none"},
        {"Kid": "other"},
        {"": ""},
        {"__proto__": {}},
    ],
    ids=lambda added: ",".join(added) or "empty",
)
def test_a_member_more_in_the_header(key: SigningKey, added: dict[str, Json]) -> None:
    """Security rule 13."""
    refuse(forge(key, compact(header_of(key) | added)), key)
    refuse(forge(key, compact(added | header_of(key))), key)


def test_an_embedded_key_with_its_own_genuine_signature(key: SigningKey) -> None:
    """Security rule 13."""
    attacker = SigningKey.generate("ES256")
    embedded: dict[str, Json] = dict(attacker.public_jwk())
    for kid in (attacker.kid, key.kid):
        header = header_of(attacker) | {"kid": kid, "jwk": embedded}
        refuse(forge(attacker, compact(header)), key)
        refuse(forge(attacker, compact(header_of(attacker) | {"kid": kid})), key)


@pytest.mark.parametrize("member", ["alg", "typ", "kid"])
def test_a_member_less_in_the_header(key: SigningKey, member: str) -> None:
    """Security rule 13."""
    header = header_of(key)
    del header[member]
    refuse(forge(key, compact(header)), key)


@pytest.mark.parametrize("member", ["alg", "typ", "kid"])
@pytest.mark.parametrize("value", ["none", "", "JWT", "ES256", None])
def test_a_repeated_member_in_the_header(key: SigningKey, member: str, value: Json) -> None:
    """Security rule 13."""
    good = compact(header_of(key))
    other = compact({member: value})
    refuse(forge(key, good[:-1] + b"," + other[1:]), key)
    refuse(forge(key, other[:-1] + b"," + good[1:]), key)
    same = compact({member: header_of(key)[member]})
    refuse(forge(key, good[:-1] + b"," + same[1:]), key)


@pytest.mark.parametrize(
    "typ",
    [
        "JWT", "jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "at+jwt ", " at+jwt", "at-jwt",
        "at", "", "at+JWT", "id+jwt", "dpop+jwt", "logout+jwt", "JOSE", "at+jwt;v=1",
        None, 1, True, [],
        ["at+jwt"], {"typ": "at+jwt"},
    ],
)  # fmt: skip
def test_another_typ(key: SigningKey, typ: Json) -> None:
    """Security rule 13."""
    refuse(forge(key, compact(header_of(key) | {"typ": typ})), key)


@pytest.mark.parametrize(
    "kid",
    [
        "", " ", "' OR '1'='1", "x' UNION SELECT 'secret'--", "../../../dev/null", "/dev/null",
        "..\\..\\windows\\win.ini", "file:///dev/null", "https://evil.example/key", "|id", "$(id)",
        "0", "\u0000", "\r\nX-Header: 1", "\u202e", "ключ", "\ud800", "x" * 4000,
        "__class__", "*", "null",
        0, 1, -1, 1.5, True, False, None, [], ["a"], {}, {"kid": "a"}, [[[[]]]],
    ],
    ids=lambda kid: repr(kid)[:24],
)  # fmt: skip
def test_an_odd_kid(key: SigningKey, kid: Json) -> None:
    """Security rule 13."""
    refuse(forge(key, compact(header_of(key) | {"kid": kid}, ascii_only=True)), key)


@pytest.mark.parametrize(
    "change",
    [
        lambda kid: kid + " ",
        lambda kid: " " + kid,
        lambda kid: kid + "=",
        lambda kid: kid[:-1],
        lambda kid: kid + "\u0000",
        lambda kid: kid.swapcase(),
        lambda kid: [kid],
        lambda kid: {"kid": kid},
    ],
)
def test_nearly_the_kid(key: SigningKey, change: Callable[[str], Json]) -> None:
    """Security rule 13."""
    refuse(forge(key, compact(header_of(key) | {"kid": change(key.kid)})), key)
