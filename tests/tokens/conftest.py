"""One key of each algorithm for all tests here: making an RSA key takes a second."""

from __future__ import annotations

import pytest

from app.tokens.signing import Algorithm, SigningKey


@pytest.fixture(scope="session")
def es256_key() -> SigningKey:
    return SigningKey.generate("ES256")


@pytest.fixture(scope="session")
def eddsa_key() -> SigningKey:
    return SigningKey.generate("EdDSA")


@pytest.fixture(scope="session")
def rs256_key() -> SigningKey:
    return SigningKey.generate("RS256")


@pytest.fixture(params=["ES256", "EdDSA", "RS256"])
def algorithm(request: pytest.FixtureRequest) -> Algorithm:
    chosen: Algorithm = request.param
    return chosen


@pytest.fixture
def key(algorithm: Algorithm, request: pytest.FixtureRequest) -> SigningKey:
    made: SigningKey = request.getfixturevalue(f"{algorithm.lower()}_key")
    return made
