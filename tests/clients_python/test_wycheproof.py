"""Signatures and tokens that broke libraries, shown to the Python client's verifier."""

from __future__ import annotations

import time
from collections import Counter

import httpx
import pytest

from gatebook_client import GatebookError, TokenRefused, Verifier, VerifierNotReady
from gatebook_client.keys import read_key
from tests.tokens import vectors
from tests.tokens.forging import AUDIENCE, CLAIMS, ISSUED, ISSUER


@pytest.fixture(autouse=True)
def then(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment in which the control was issued."""
    monkeypatch.setattr(time, "time", lambda: float(ISSUED))


def shown(token: object, keys: list[vectors.Jwk]) -> str | GatebookError:
    """Whom a verifier of these keys takes the token for, or why it doesn't."""

    def answer(request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(200, json={"keys": keys})

    verifier = Verifier(ISSUER, AUDIENCE, revocations=False, transport=httpx.MockTransport(answer))
    try:
        return verifier.verify(token).user_key  # type: ignore[arg-type]
    except GatebookError as error:
        return error
    finally:
        verifier.close()


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_exactly_the_right_signatures_are_accepted(algorithm: str) -> None:
    """Security rule 13, at the client's side."""
    found: Counter[bool] = Counter()
    for each in vectors.signatures(algorithm):
        key = read_key(each.jwk)
        assert key is not None, each.name
        assert key.signed(each.signature, each.message) == each.right, each.name
        found[each.right] += 1
    assert min(found[True], found[False]) >= 8


def test_no_token_of_theirs_is_one_of_ours() -> None:
    """Security rule 13, at the client's side: refused, or nothing to verify with."""
    kinds = Counter(type(shown(each.token, each.keys)) for each in vectors.tokens())
    assert set(kinds) == {TokenRefused, VerifierNotReady}
    assert min(kinds.values()) >= 50


def test_a_token_of_ours_under_a_key_of_theirs_is_accepted() -> None:
    """The control: what refuses theirs is what they are."""
    token, jwk = vectors.ours()
    assert shown(token, [jwk]) == CLAIMS.sub


def test_only_keys_of_the_kinds_that_sign_access_tokens_are_read() -> None:
    """Security rule 13: a small modulus, an exponent of 1, another curve, another use."""
    assert [read_key(each) for each in vectors.wrong_keys()] == [None] * 9
