"""Signatures and tokens that broke libraries, shown to the service's own verifier."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from app.tokens.access_token import genuine
from app.tokens.signing import VerifyingKey
from domain.errors import Damage, InvalidToken
from tests.tokens import vectors
from tests.tokens.forging import CLAIMS

TRIED = {"ES256": (173, 89), "EdDSA": (88, 63), "RS256": (7, 251)}
"""How many signatures are right, and how many aren't."""


def key_of(jwk: vectors.Jwk) -> VerifyingKey | None:
    """A key as it is kept of a set, if the service would keep it."""
    try:
        return VerifyingKey.from_jwk(jwk)
    except Damage:
        return None


@pytest.mark.parametrize("name", vectors.SHA256)
def test_the_vectors_are_the_published_ones(name: str) -> None:
    content = (vectors.FOLDER / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == vectors.SHA256[name]


@pytest.mark.parametrize("algorithm", TRIED)
def test_exactly_the_right_signatures_are_accepted(algorithm: str) -> None:
    """Security rule 13. A key that the service would never make verifies nothing."""
    found: Counter[bool] = Counter()
    for each in vectors.signatures(algorithm):
        key = key_of(each.jwk)
        if key is None:
            assert each.jwk["e"] == "Aw", each.name
            continue
        assert key.verify(each.message, each.signature) == each.right, each.name
        found[each.right] += 1
    assert (found[True], found[False]) == TRIED[algorithm]


def test_no_token_of_theirs_is_one_of_ours() -> None:
    """Security rule 13. Even the right ones: their headers are no access token's."""
    tried = 0
    for each in vectors.tokens():
        keys = {key.kid: key for key in map(key_of, each.keys) if key is not None}
        with pytest.raises(InvalidToken):
            genuine(each.token, keys)  # type: ignore[arg-type]  # some are no texts
        tried += 1
    assert tried == 427


def test_a_token_of_ours_under_a_key_of_theirs_is_accepted() -> None:
    """The control: what refuses theirs is what they are."""
    token, jwk = vectors.ours()
    key = VerifyingKey.from_jwk(jwk)
    assert genuine(token, {key.kid: key}) == CLAIMS


def test_only_keys_of_the_kinds_that_sign_access_tokens_are_read() -> None:
    """Security rule 13: a small modulus, an exponent of 1, another curve, another use."""
    wrong = [*vectors.wrong_keys()]
    assert [key_of(each) for each in wrong] == [None] * 9
