"""What Authlib alone has: metadata that it checks, and a resource server that verifies offline."""

from __future__ import annotations

from typing import Any

import pytest
from authlib.oauth2.rfc6750.errors import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

from tests.oauth_clients.program import SCOPE, Program, Way
from tests.oauth_clients.with_authlib import WithAuthlib

NONE_OF_THEM = {"response_types_supported"}
"""Authlib asks for one at least, also where nobody is sent to authorize anything."""


class ResourceServer(JWTBearerTokenValidator):
    """A service that trusts an issuer, and reads its keys where the metadata says."""

    def __init__(self, client: WithAuthlib, audience: str) -> None:
        super().__init__(client.at["issuer"], audience)
        self._client = client

    def get_jwks(self) -> KeySet:
        url = self._client.at["jwks_uri"]
        keys = self._client.session.get(url, withhold_token=True).json()
        return KeySet.import_key_set(keys)

    def claims(self, token: str, scope: str = "users:read") -> Any:
        """What the token says, which is genuine, meant for this service, and suffices."""
        claims = self.authenticate_token(token)
        self.validate_token(claims, [scope], None)
        return claims


@pytest.fixture
def client(program: Program) -> WithAuthlib:
    return WithAuthlib(program, Way.ENCODED)


def test_every_other_member_of_the_metadata_is_as_authlib_has_it(client: WithAuthlib) -> None:
    checked = set(client.at) & set(client.at.REGISTRY_KEYS) - NONE_OF_THEM
    assert {"issuer", "token_endpoint", "jwks_uri", "grant_types_supported"} < checked
    for name in checked:
        getattr(client.at, f"validate_{name}")()


def test_a_resource_server_verifies_by_the_published_keys(
    client: WithAuthlib, program: Program
) -> None:
    claims = ResourceServer(client, program.issuer).claims(client.granted()["access_token"])
    assert claims.header["typ"] == "at+jwt"
    assert (claims["sub"], claims["client_id"]) == (program.client_id, program.client_id)
    assert (claims["scope"], claims["iss"]) == (SCOPE, program.issuer)


def test_a_resource_server_refuses_what_is_not_for_it(
    client: WithAuthlib, program: Program
) -> None:
    token = client.granted()["access_token"]
    with pytest.raises(InvalidTokenError):
        ResourceServer(client, "https://elsewhere.example").claims(token)
    with pytest.raises(InsufficientScopeError):
        ResourceServer(client, program.issuer).claims(token, "users:write")
    with pytest.raises(InvalidTokenError):
        ResourceServer(client, program.issuer).claims(f"{token[:-5]}AAAAA")
