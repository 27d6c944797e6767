"""Authlib and requests-oauthlib find a service by its issuer, and do all that it offers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.oauth_clients.conftest import Registering
from tests.oauth_clients.program import SCOPE, Program, Way
from tests.oauth_clients.with_authlib import WithAuthlib
from tests.oauth_clients.with_requests_oauthlib import WithRequestsOAuthlib

Client = WithAuthlib | WithRequestsOAuthlib

CHALLENGE = 'Basic realm="gatebook", charset="UTF-8"'


@pytest.fixture(params=list(Way), ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture(params=[WithAuthlib, WithRequestsOAuthlib])
def client(request: pytest.FixtureRequest, program: Program, way: Way) -> Client:
    return request.param(program, way)


def expect_refusal(client: Client, error: str, status: int, ask: Callable[[], object]) -> None:
    """The library raises its error with this word, after an answer as RFC 6749 §5.2 has it."""
    with pytest.raises(client.Refusal) as refusal:
        ask()
    assert refusal.value.error == error
    assert client.answer.status_code == status
    assert client.answer.headers["cache-control"] == "no-store"
    assert client.answer.headers["pragma"] == "no-cache"
    assert client.answer.headers.get("www-authenticate") == (CHALLENGE if status == 401 else None)


def test_the_issuer_is_all_that_has_to_be_known(client: Client, program: Program) -> None:
    assert client.at["issuer"] == program.issuer
    assert set(client.at["grant_types_supported"]) == {"client_credentials", "refresh_token"}
    for what in ("token", "introspection", "revocation"):
        methods = client.at[f"{what}_endpoint_auth_methods_supported"]
        assert {"client_secret_basic", "client_secret_post"} < set(methods)


def test_a_program_gets_a_token_for_its_secret(client: Client, program: Program) -> None:
    token = client.granted()
    assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 3600, SCOPE)
    assert "refresh_token" not in token
    me = client.get(f"{program.issuer}/me")
    assert (me["user_key"], me["permissions"]) == (program.client_id, SCOPE.split())


def test_a_scope_may_be_narrowed(client: Client) -> None:
    token = client.granted(scope="users:read")
    assert token["scope"] == "users:read"
    assert client.introspected(token["access_token"])["scope"] == "users:read"


def test_a_refresh_token_is_changed_and_the_new_one_works(client: Client, program: Program) -> None:
    first = client.refreshed(program.refresh_token)
    second = client.refreshed(first["refresh_token"])
    tokens = {program.refresh_token, first["refresh_token"], second["refresh_token"]}
    assert len(tokens) == 3
    assert second["scope"] == SCOPE
    assert client.get(f"{program.issuer}/me")["user_key"] == program.client_id


def test_a_replaced_refresh_token_is_an_invalid_grant(client: Client, program: Program) -> None:
    first = client.refreshed(program.refresh_token)
    newest = client.refreshed(first["refresh_token"])
    for token in (program.refresh_token, newest["refresh_token"]):
        expect_refusal(client, "invalid_grant", 400, partial(client.refreshed, token))


def test_a_token_is_active_until_it_is_revoked(client: Client, program: Program) -> None:
    token = client.refreshed(program.refresh_token)
    found = client.introspected(token["access_token"])
    assert found["active"] is True
    assert (found["sub"], found["client_id"]) == (program.client_id, program.client_id)
    assert (found["scope"], found["iss"]) == (SCOPE, program.issuer)
    client.revoke(token["refresh_token"])
    assert client.introspected(token["access_token"]) == {"active": False}
    expect_refusal(client, "invalid_grant", 400, partial(client.refreshed, token["refresh_token"]))


def test_an_access_token_may_be_revoked_as_well(client: Client) -> None:
    token = client.granted()["access_token"]
    assert client.introspected(token)["active"] is True
    client.revoke(token)
    assert client.introspected(token) == {"active": False}
    assert client.introspected(client.granted()["access_token"])["active"] is True


def test_a_holder_of_the_permission_asks_about_others(
    client: Client, registering: Registering
) -> None:
    other = registering("walnut orbit teacup")
    token = WithAuthlib(other, Way.ENCODED).granted()["access_token"]
    found = client.introspected(token)
    assert (found["active"], found["sub"]) == (True, other.client_id)


def test_a_wrong_secret_is_an_invalid_client(client: Client, program: Program, way: Way) -> None:
    stranger = type(client)(program._replace(secret=f"{program.secret}?"), way)
    expect_refusal(stranger, "invalid_client", 401, stranger.granted)
    expect_refusal(
        stranger, "invalid_client", 401, partial(stranger.refreshed, program.refresh_token)
    )
    assert client.refreshed(program.refresh_token)["scope"] == SCOPE


@pytest.mark.parametrize(
    ("error", "form"),
    [
        ("unsupported_grant_type", {"grant_type": "password", "username": "a", "password": "b"}),
        ("invalid_scope", {"scope": "admin"}),
        ("invalid_request", {"grant_type": "refresh_token"}),
        ("invalid_grant", {"grant_type": "refresh_token", "refresh_token": "gbr_made-up"}),
    ],
)
def test_a_refusal_is_read_as_what_it_is(client: Client, error: str, form: dict[str, str]) -> None:
    expect_refusal(client, error, 400, partial(client.granted, **form))
