"""Secrets as a library is usually given them: as text, for which it has no encoding but Latin-1."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

from tests.oauth_clients.conftest import Registering
from tests.oauth_clients.program import SECRET, Program

AMBIGUOUS = "walnut+orbit%41teacup"
REFUSALS = (OAuthError, OAuth2Error)


def by_authlib(program: Program) -> str:
    with AuthlibSession(program.client_id, program.secret) as session:
        token = session.fetch_token(f"{program.issuer}/oauth/token")
    return token["access_token"]


def by_requests_oauthlib(program: Program) -> str:
    client = BackendApplicationClient(program.client_id)
    with OAuth2Session(client=client) as session:
        token = session.fetch_token(f"{program.issuer}/oauth/token", client_secret=program.secret)
    return token["access_token"]


@pytest.fixture(params=[by_authlib, by_requests_oauthlib])
def token(request: pytest.FixtureRequest):
    return request.param


@pytest.mark.parametrize(
    "secret",
    [
        "walnut orbit teacup",
        "walnut:orbit:teacup",
        "walnut-orbit-100%",
        "p:a%2F+s s word : 100%",
        "walnut+orbit%20teacup and a space",
    ],
)
def test_a_client_that_does_not_encode_works_unchanged(
    registering: Registering, token, secret: str
) -> None:
    assert token(registering(secret)).count(".") == 2


def test_what_is_not_in_latin_1_the_libraries_do_not_send(program: Program, token) -> None:
    """`Way` has what their users do then."""
    with pytest.raises(UnicodeEncodeError):
        token(program)
    assert token(program._replace(secret=quote_plus(SECRET))).count(".") == 2


def test_latin_1_is_refused_by_saying_so(registering: Registering, token) -> None:
    """The challenge has asked for UTF-8 (RFC 7617 §2.1)."""
    program = registering("walnut \u00f6rbit teacup")
    with pytest.raises(REFUSALS) as refusal:
        token(program)
    assert refusal.value.error == "invalid_request"
    assert token(program._replace(secret=quote_plus(program.secret))).count(".") == 2


def test_a_secret_that_looks_encoded_has_to_be_encoded(registering: Registering, token) -> None:
    program = registering(AMBIGUOUS)
    with pytest.raises(REFUSALS) as refusal:
        token(program)
    assert refusal.value.error == "invalid_client"
    assert token(program._replace(secret=quote_plus(AMBIGUOUS))).count(".") == 2
