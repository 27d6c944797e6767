"""Fixtures for pytest, in every project where this distribution is installed.

    def test_orders_are_shown(client, gatebook_issuer): ...

`gatebook_issuer` is a `FakeIssuer` of the test's own, `gatebook_verifier` a verifier that asks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gatebook_client.testing import FakeIssuer
    from gatebook_client.verifier import Verifier


@pytest.fixture
def gatebook_issuer() -> FakeIssuer:
    """A stand-in for the service."""
    from gatebook_client.testing import FakeIssuer  # noqa: PLC0415 - for who asks for it alone

    return FakeIssuer()


@pytest.fixture
def gatebook_verifier(gatebook_issuer: FakeIssuer) -> Iterator[Verifier]:
    """A verifier of the stand-in's tokens, which hears of its revocations."""
    verifier = gatebook_issuer.verifier()
    yield verifier
    verifier.close()
