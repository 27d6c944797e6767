"""No mutant of a genuine token opens anything, wherever it is shown. Security rule 13."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.http.genuine import genuine_of, is_a_header
from tests.http.steps import me
from tests.tokens.mutants import mutants

if TYPE_CHECKING:
    import httpx

    from tests.http.conftest import Starting

ENOUGH: Final = 100


def introspected(client: httpx.Client, token: str, bearer: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {bearer}"}
    return client.post("/oauth/introspect", data={"token": token}, headers=headers)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_no_mutant_of_a_genuine_token_is_accepted_anywhere(start: Starting, algorithm: str) -> None:
    people = start.people(SIGNING_ALGORITHM=algorithm)
    client, holder, asker = people.client, people.new(), people.new("tokens:introspect")
    genuine = genuine_of(holder)
    shown, asked = 0, 0
    # From now on it is remembered that its signature was right.
    assert me(client, genuine.token).status_code == 200
    for what, token in mutants(genuine):
        answer = introspected(client, token, asker.access)
        assert (answer.status_code, answer.text) == (200, '{"active":false}'), what
        asked += 1
        if is_a_header(token):
            assert me(client, token).status_code == 401, what
            assert introspected(client, genuine.token, token).status_code == 401, what
            shown += 1
    assert min(shown, asked) >= ENOUGH
    assert me(client, genuine.token).status_code == 200


def test_a_mutant_is_no_fault_where_a_token_is_taken_back(start: Starting) -> None:
    """What a key of ours signed may end its session, whatever else is wrong with it."""
    people = start.people()
    holder = people.new()
    for what, token in mutants(genuine_of(holder)):
        form = {"token": token, "client_id": holder.user_key}
        assert people.client.post("/oauth/revoke", data=form).status_code in {200, 400}, what


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_a_forger_with_the_key_who_changes_nothing_is_not_found_out(
    start: Starting, algorithm: str
) -> None:
    """The control: what refuses the mutants is what is wrong with each."""
    people = start.people(SIGNING_ALGORITHM=algorithm)
    holder = people.new()
    genuine = genuine_of(holder)
    token = genuine.signed(genuine.header, genuine.claims)
    assert me(people.client, token).status_code == 200
    assert introspected(people.client, token, holder.access).json()["active"] is True
