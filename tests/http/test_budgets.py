"""Whose budget an attempt is counted in: the peer's, or of a trusted proxy the one it names."""

from __future__ import annotations

import json

import pytest

from tests.http.asking import JSON, Asking
from tests.running import running, settings

FAILURES = 100
UNKNOWN = {"user_key": "uk_00000000000000000000000000", "user_secret": "a quiet rope of seven"}


def statuses(server: Asking, forwarded: list[str]) -> list[int]:
    """The answers to one wrong login from each of these addresses."""
    body = json.dumps(UNKNOWN).encode()
    return [
        server.ask("POST", "/authenticate", body, {**JSON, "X-Forwarded-For": address}).status
        for address in forwarded
    ]


@pytest.fixture
def behind_proxy(tmp_path):
    path = tmp_path / "gatebook.db"
    with running(settings(f"sqlite:///{path}", TRUSTED_PROXIES="127.0.0.1")) as started:
        yield Asking(started.port, path)


def test_a_made_up_address_has_no_budget_of_its_own(server) -> None:
    """Security rule 6. A few places come back while the test runs, never as many again."""
    found = statuses(server, [f"192.0.2.{n}" for n in range(2 * FAILURES)])
    assert found[:FAILURES] == [401] * FAILURES
    assert 429 in found[FAILURES:]


def test_a_trusted_proxy_s_clients_have_their_own(behind_proxy) -> None:
    """Security rule 6: the last hop that isn't trusted counts, whatever stands before it."""
    # Different sites, so that no network's budget is shared.
    found = statuses(behind_proxy, [f"2001:db8:{n:x}::1" for n in range(FAILURES + 40)])
    assert found == [401] * (FAILURES + 40)
    found = statuses(behind_proxy, [f"192.0.2.{n}, 198.51.100.7" for n in range(2 * FAILURES)])
    assert found[:FAILURES] == [401] * FAILURES
    assert 429 in found[FAILURES:]
