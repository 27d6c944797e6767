"""The metadata of an OAuth server: where clients look for it, and what it says (RFC 8414)."""

from __future__ import annotations

import pytest
from authlib.oauth2.rfc8414 import get_well_known_url

from tests.http.steps import ISSUER, problem

WELL_KNOWN = "/.well-known/oauth-authorization-server"


def test_metadata_says_where_everything_is(api) -> None:
    answer = api.get(WELL_KNOWN)
    assert answer.status_code == 200
    found = answer.json()
    assert found["issuer"] == ISSUER
    assert found["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert found["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert found["response_types_supported"] == []
    assert "password" not in found["grant_types_supported"]
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/auth", "/a/b", "/a%20b/{c}"])
def test_of_an_issuer_with_a_path_it_stands_where_clients_look(start, path: str) -> None:
    """RFC 8414 §3.1: at the root of the host, whatever a proxy does with the path."""
    issuer = f"https://h.example{path}"
    api = start(ISSUER=issuer)
    at = get_well_known_url(issuer)
    assert at == f"{WELL_KNOWN}{path}"
    found = api.get(at)
    assert found.status_code == 200, found.text
    assert found.json()["issuer"] == issuer
    assert found.json()["token_endpoint"] == f"{issuer}/oauth/token"
    assert found.json() == api.get(WELL_KNOWN).json()
    assert found.headers["cache-control"] == "public, max-age=300"
    assert found.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/auth/more", "/aut", "/Auth", "/", "/more/auth"])
def test_of_another_path_there_is_none(start, path: str) -> None:
    answer = start(ISSUER="https://h.example/auth").get(f"{WELL_KNOWN}{path}")
    if path == "/":  # a path with a slash at its end is the path without it
        assert answer.status_code == 200
    else:
        problem(answer, 404, "not_found")


@pytest.mark.parametrize("path", ["/auth", "/auth.example.org", "//"])
def test_an_issuer_without_a_path_has_one_place(api, path: str) -> None:
    answer = api.get(f"{WELL_KNOWN}{path}")
    assert answer.status_code == (200 if path == "//" else 404)
