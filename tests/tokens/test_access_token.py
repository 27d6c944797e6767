"""Access tokens: what is written in one, and until when it is good."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.tokens.access_token import (
    MAX_LIFETIME,
    MAX_TOKEN_BYTES,
    Claims,
    new_jti,
    sign,
    verify,
)
from app.tokens.signing import SigningKey
from domain.errors import InvalidToken
from tests.tokens.forging import AUDIENCE, CLAIMS, ISSUED, ISSUER, NOW, SECOND, check, forge

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.tokens.signing import VerifyingKey

replace = msgspec.structs.replace


def segments(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Read header and payload of a token without checking anything."""
    header, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    return json.loads(header), json.loads(payload)


def test_a_signed_token_gives_its_claims_back(key: SigningKey) -> None:
    assert check(sign(CLAIMS, key), key) == CLAIMS


def test_the_header_is_exactly_alg_typ_and_kid(key: SigningKey) -> None:
    header, _ = segments(sign(CLAIMS, key))
    assert header == {"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid}


def test_the_payload_is_exactly_the_claims(key: SigningKey) -> None:
    _, payload = segments(sign(CLAIMS, key))
    assert payload == {
        "iss": "https://auth.example",
        "sub": "uk_06bj3v8q2s4x7z9abcdefghjkm",
        "aud": "https://api.example",
        "iat": 1_800_000_000,
        "exp": 1_800_003_600,
        "jti": "bHVja3kgbnVtYmVyIDEyMw",
        "client_id": "uk_06bj3v8q2s4x7z9abcdefghjkm",
        "sid": "0aZ3kPq8TnVbXy12LmWdRs",
        "user_id": "Ada Łovelace",
        "auth_time": 1_799_913_600,
        "scope": "admin users:read",
    }


def test_a_token_is_unpadded_compact_form(key: SigningKey) -> None:
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", sign(CLAIMS, key), re.ASCII)


def test_a_forger_that_changes_nothing_writes_a_good_token(key: SigningKey) -> None:
    """The control of every refusal: what the forger writes is refused for its change alone."""
    assert check(forge(key), key) == CLAIMS


def test_a_token_is_checked_with_the_key_that_it_names(
    es256_key: SigningKey, eddsa_key: SigningKey, rs256_key: SigningKey
) -> None:
    keys = {key.kid: key.verifying_key for key in (es256_key, eddsa_key, rs256_key)}
    for key in (es256_key, eddsa_key, rs256_key):
        claims = verify(sign(CLAIMS, key), keys=keys, issuer=ISSUER, audience=AUDIENCE, now=NOW)
        assert claims == CLAIMS


def test_a_token_of_a_key_that_is_trusted_no_more_is_refused(es256_key: SigningKey) -> None:
    """Security rule 13."""
    other = SigningKey.generate("ES256")
    for keys in ({}, {other.kid: other.verifying_key}):
        refused(sign(CLAIMS, es256_key), keys)


def test_a_token_that_names_another_trusted_key_is_refused(
    es256_key: SigningKey, eddsa_key: SigningKey
) -> None:
    """Security rule 13."""
    keys = {key.kid: key.verifying_key for key in (es256_key, eddsa_key)}
    _, payload, signature = sign(CLAIMS, es256_key).split(".")
    refused(f"{eddsa_key.verifying_key.header.decode()}.{payload}.{signature}", keys)


def refused(token: str, keys: dict[str, VerifyingKey]) -> None:
    with pytest.raises(InvalidToken) as refusal:
        verify(token, keys=keys, issuer=ISSUER, audience=AUDIENCE, now=NOW)
    assert refusal.value.reason is None


@pytest.mark.parametrize("leeway", [0, 1, 60])
def test_a_token_is_good_until_the_microsecond_before_its_end(
    es256_key: SigningKey, leeway: int
) -> None:
    token = sign(CLAIMS, es256_key)
    end = (CLAIMS.exp + leeway) * SECOND
    assert check(token, es256_key, now=end - 1, leeway=leeway) == CLAIMS
    for now in (end, end + 1, end + 10**15):
        with pytest.raises(InvalidToken) as refusal:
            check(token, es256_key, now=now, leeway=leeway)
        assert refusal.value.reason == "expired"


@pytest.mark.parametrize("leeway", [-1, 61, 3600])
def test_a_leeway_of_more_than_a_minute_is_a_mistake(es256_key: SigningKey, leeway: int) -> None:
    """Security rule 13."""
    with pytest.raises(ValueError, match="leeway"):
        check(sign(CLAIMS, es256_key), es256_key, leeway=leeway)


def test_an_expired_token_that_is_not_genuine_has_no_reason(es256_key: SigningKey) -> None:
    late = CLAIMS.exp * SECOND
    token = sign(CLAIMS, es256_key)
    other = SigningKey.generate("ES256")
    wrong = [
        token[:-8] + "AAAAAAAA",
        token + "==",
        sign(CLAIMS, other),
        sign(replace(CLAIMS, iss="https://evil.example"), es256_key),
        sign(replace(CLAIMS, aud="https://other.example"), es256_key),
        sign(replace(CLAIMS, iat=CLAIMS.iat - 1), es256_key),
    ]
    for changed in wrong:
        with pytest.raises(InvalidToken) as refusal:
            check(changed, es256_key, now=late)
        assert refusal.value.reason is None


@pytest.mark.parametrize("name", ["iat", "auth_time"])
def test_a_clock_may_run_a_minute_ahead_and_no_more(es256_key: SigningKey, name: str) -> None:
    """Security rule 13."""
    claims = replace(CLAIMS, exp=ISSUED + 100, **{name: ISSUED + 60})
    token = sign(claims, es256_key)
    assert check(token, es256_key, now=NOW) == claims
    with pytest.raises(InvalidToken) as refusal:
        check(token, es256_key, now=NOW - 1)
    assert refusal.value.reason is None


@pytest.mark.parametrize(
    ("lifetime", "good"),
    [
        (1, True),
        (MAX_LIFETIME, True),
        (MAX_LIFETIME + 1, False),
        (0, False),
        (-1, False),
        (2**53 - ISSUED, False),
    ],
)
def test_a_life_is_a_second_to_an_hour(es256_key: SigningKey, lifetime: int, *, good: bool) -> None:
    """Security rule 13."""
    token = sign(replace(CLAIMS, exp=ISSUED + lifetime), es256_key)
    if good:
        assert check(token, es256_key).exp == ISSUED + lifetime
    else:
        with pytest.raises(InvalidToken) as refusal:
            check(token, es256_key)
        assert refusal.value.reason is None


@pytest.mark.parametrize("name", ["iss", "aud"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "/",
        lambda text: text.upper(),
        lambda text: text[:-1],
        lambda text: text + "\u0000",
        lambda text: " " + text,
        lambda text: text.replace("https", "http"),
        lambda text: text.replace("example", "invalid"),
        lambda text: text[:0],
    ],
)
def test_issuer_and_audience_are_compared_exactly(
    es256_key: SigningKey, name: str, change: Callable[[str], str]
) -> None:
    """Security rule 13."""
    other = replace(CLAIMS, **{name: change(getattr(CLAIMS, name))})
    with pytest.raises(InvalidToken) as refusal:
        check(sign(other, es256_key), es256_key)
    assert refusal.value.reason is None


def test_the_largest_token_is_within_the_limit(key: SigningKey) -> None:
    """Security rule 1: 64 permissions of 64 characters, a user_id of 1,024 bytes."""
    claims = replace(
        CLAIMS,
        user_id="é" * 512,
        scope=" ".join(f"p{number:03}".ljust(64, "x") for number in range(64)),
    )
    token = sign(claims, key)
    assert len(token) <= MAX_TOKEN_BYTES
    assert check(token, key) == claims


def test_a_token_of_one_byte_too_many_is_refused(es256_key: SigningKey) -> None:
    """Security rule 1."""
    fitting = claims_for(MAX_TOKEN_BYTES, es256_key)
    assert check(sign(fitting, es256_key), es256_key) == fitting
    longer = sign(replace(fitting, scope=fitting.scope + "x"), es256_key)
    assert MAX_TOKEN_BYTES < len(longer) <= MAX_TOKEN_BYTES + 2
    with pytest.raises(InvalidToken):
        check(longer, es256_key)


def claims_for(size: int, key: SigningKey) -> Claims:
    """Give claims whose token has exactly `size` bytes."""
    shortest = len(sign(replace(CLAIMS, scope=""), key))
    width = (size - shortest) * 3 // 4
    for padding in range(width - 4, width + 4):
        claims = replace(CLAIMS, scope="x" * padding)
        if len(sign(claims, key)) == size:
            longer = replace(claims, scope=claims.scope + "x")
            if len(sign(longer, key)) > size:
                return claims
    raise AssertionError(size)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(user_id=texts, scope=texts, sid=texts, start=st.integers(0, ISSUED))
def test_any_text_survives_signing(
    es256_key: SigningKey, user_id: str, scope: str, sid: str, start: int
) -> None:
    claims = replace(CLAIMS, user_id=user_id, scope=scope, sid=sid, auth_time=start)
    assert check(sign(claims, es256_key), es256_key) == claims


def test_a_token_id_is_128_bits_in_22_characters_and_new_each_time() -> None:
    ids = {new_jti() for _ in range(1000)}
    assert len(ids) == 1000
    for jti in ids:
        assert re.fullmatch(r"[A-Za-z0-9_-]{22}", jti)
        assert len(base64.urlsafe_b64decode(jti + "==")) == 16


def test_a_refusal_shows_nothing_of_the_token(es256_key: SigningKey) -> None:
    """Security rule 19."""
    token = forge(es256_key, written=b'{"iss":"canary","sub":1}')
    with pytest.raises(InvalidToken) as refusal:
        check(token, es256_key)
    assert "canary" not in repr(refusal.value) + str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__
