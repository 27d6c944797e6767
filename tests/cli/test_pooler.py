"""PostgreSQL behind a pooler."""

from __future__ import annotations

import pytest

from app.cli.pooler import lends_transactions
from tests.cli.conftest import Gatebook
from tests.cli.pooling import Mode, pooled
from tests.store.intruding import intrude


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


def test_a_server_itself_lends_nothing(postgres_url: str) -> None:
    assert not lends_transactions(postgres_url)


@pytest.mark.parametrize(
    ("mode", "ready", "lends"),
    [
        ("session", 0, False),
        ("session", 6, False),
        ("transaction", 0, True),
        ("transaction", 6, True),
        ("transaction, in turn", 0, True),
        ("transaction, in turn", 3, True),
        ("transaction, in turn", 6, True),
    ],
)
def test_a_pooler_that_lends_for_one_transaction_is_recognised(
    postgres_url: str, mode: Mode, ready: int, lends: bool
) -> None:
    """Design: refused. The sessions are the control."""
    with pooled(postgres_url, mode, ready=ready) as url:
        assert lends_transactions(url) is lends


def test_the_service_refuses_to_start_behind_one(gatebook: Gatebook, postgres_url: str) -> None:
    with pooled(postgres_url, "transaction") as url:
        for command in ("serve", "doctor"):
            result = gatebook(command, DATABASE_URL=url)
            assert result.exit_code == 2
            assert "session mode" in result.output
    with intrude(postgres_url) as intruder:
        assert intruder.run("SELECT count(*) FROM pg_tables WHERE tablename = 'events'") == [(0,)]
