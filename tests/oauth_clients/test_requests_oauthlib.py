"""What requests-oauthlib alone does: it shows its own access token with whatever it sends."""

from __future__ import annotations

import pytest

from tests.oauth_clients.program import Program, Way
from tests.oauth_clients.with_requests_oauthlib import WithRequestsOAuthlib


@pytest.fixture
def client(program: Program) -> WithRequestsOAuthlib:
    client = WithRequestsOAuthlib(program, Way.POSTED)
    client.granted()
    return client


def shown(client: WithRequestsOAuthlib) -> str:
    """The header of the request that was answered last."""
    return client.answer.request.headers["Authorization"]


def test_a_client_that_has_no_secret_revokes_and_refreshes_beside_it(
    client: WithRequestsOAuthlib, program: Program
) -> None:
    form = {"client_id": program.client_id}
    grant = {"grant_type": "refresh_token", "refresh_token": program.refresh_token, **form}
    changed = client.session.post(client.at["token_endpoint"], grant)
    assert shown(client).startswith("Bearer ")
    assert changed.status_code == 200, changed.text
    token = changed.json()["refresh_token"]
    revoked = client.session.post(client.at["revocation_endpoint"], {"token": token, **form})
    assert shown(client).startswith("Bearer ")
    assert revoked.status_code == 200, revoked.text
    assert client.introspected(changed.json()["access_token"]) == {"active": False}


@pytest.mark.parametrize("what", ["introspection", "revocation"])
def test_a_secret_beside_it_is_refused_by_saying_so(
    client: WithRequestsOAuthlib, program: Program, what: str
) -> None:
    """So whoever posts a secret with this library has it withhold the token."""
    form = {"token": program.refresh_token, **client.posted}
    answer = client.session.post(client.at[f"{what}_endpoint"], form)
    assert shown(client).startswith("Bearer ")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert "Authenticate in one way" in answer.json()["error_description"]
    withheld = client.session.post(client.at[f"{what}_endpoint"], form, withhold_token=True)
    assert withheld.status_code == 200, withheld.text
