"""PyJWT: a token with `==` after its signature verifies, so one token has several texts.

A deny list, a cache or a log keyed by the text is evaded by adding two characters. Here such a
token is refused, and no token is looked up by its text.
"""

from __future__ import annotations

import jwt
import pytest

from app.tokens.access_token import Claims, sign, verify
from app.tokens.signing import SigningKey
from domain.errors import InvalidToken

ISSUER = "https://auth.example"
ISSUED = 1_800_000_000
CLAIMS = Claims(
    iss=ISSUER,
    sub="uk_06bj3v8q2s4x7z9abcdefghjkm",
    aud=ISSUER,
    iat=ISSUED,
    exp=ISSUED + 3600,
    jti="bHVja3kgbnVtYmVyIDEyMw",
    client_id="uk_06bj3v8q2s4x7z9abcdefghjkm",
    sid="0aZ3kPq8TnVbXy12LmWdRs",
    user_id="ada",
    auth_time=ISSUED,
    scope="",
)


def read(token: str, key: SigningKey) -> Claims:
    return verify(
        token,
        keys={key.kid: key.verifying_key},
        issuer=ISSUER,
        audience=ISSUER,
        now=ISSUED * 1_000_000,
    )


def test_padding_after_the_signature_is_refused() -> None:
    """Security rule 13."""
    key = SigningKey.generate("ES256")
    token = sign(CLAIMS, key)
    assert read(token, key) == CLAIMS
    for padding in ("=", "==", "===", "===="):
        with pytest.raises(InvalidToken):
            read(token + padding, key)


def test_the_library_alone_would_take_it() -> None:
    """The control; when it fails the library was mended, and the test above still holds."""
    key = SigningKey.generate("ES256")
    jwk = jwt.PyJWK(dict(key.public_jwk()))
    read_by_library = jwt.decode(
        sign(CLAIMS, key) + "==",
        jwk,
        algorithms=["ES256"],
        audience=ISSUER,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert read_by_library["sub"] == CLAIMS.sub
