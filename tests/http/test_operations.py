"""Health, readiness, version, figures, and the public keys."""

from __future__ import annotations

import re

import pytest

from tests.http.steps import SECRET, authenticate, me, parts, register


def test_health_says_that_the_process_answers(api) -> None:
    answer = api.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/version", "/.well-known/jwks.json"])
def test_head_is_answered_as_get_without_the_body(server, path: str) -> None:
    got, headed = server.ask("GET", path), server.ask("HEAD", path)
    assert (headed.status, headed.body) == (200, b"")
    for name in ("content-type", "content-length", "cache-control"):
        assert headed.headers[name] == got.headers[name]


def test_readiness_names_every_check(api) -> None:
    answer = api.get("/readyz")
    assert answer.status_code == 200
    assert set(answer.json()) == {"status", "checks"}
    assert answer.json()["status"] == "ready"
    assert answer.json()["checks"]
    for check in answer.json()["checks"]:
        assert set(check) == {"name", "ok", "detail"}
        assert check["ok"] is True


def test_version_names_the_release_and_the_log(start) -> None:
    first = start().get("/version").json()
    start.stop()
    assert set(first) == {"version", "log_id"}
    assert first["version"]
    assert first["log_id"]
    assert start().get("/version").json() == first


def test_figures_count_what_was_answered_and_name_nobody(api) -> None:
    """Security rule 19."""
    user_key = register(api, "Ada.Lovelace")
    authenticate(api, user_key)
    api.get("/nothing/secret-path")
    answer = api.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["content-type"].count("charset") == 1
    text = answer.text
    assert re.search(r'^gatebook_\w+\{[^}]*"/register"[^}]*"201"[^}]*\} 1\.0$', text, re.MULTILINE)
    for private in (user_key, "Lovelace", "lovelace", SECRET, "secret-path"):
        assert private not in text


def test_public_keys_are_public_and_may_be_kept(api) -> None:
    answer = api.get("/.well-known/jwks.json")
    assert answer.status_code == 200
    assert set(answer.json()) == {"keys"}
    (key,) = answer.json()["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use"}
    assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["content-type"] == "application/json"


def test_keys_that_somebody_has_are_not_sent_again(api) -> None:
    first = api.get("/.well-known/jwks.json")
    etag = first.headers["etag"]
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = api.get("/.well-known/jwks.json", headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == "public, max-age=300"
    for given in ('"other"', etag.strip('"'), etag[:-4]):
        again = api.get("/.well-known/jwks.json", headers={"If-None-Match": given})
        assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize(
    ("algorithm", "members"),
    [
        ("ES256", {"kty", "crv", "x", "y", "kid", "alg", "use"}),
        ("EdDSA", {"kty", "crv", "x", "kid", "alg", "use"}),
        ("RS256", {"kty", "n", "e", "kid", "alg", "use"}),
    ],
)
def test_tokens_are_signed_with_the_algorithm_that_is_set(start, algorithm, members) -> None:
    api = start(SIGNING_ALGORITHM=algorithm, JWKS_MAX_AGE="60")
    answer = api.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=60"
    (key,) = answer.json()["keys"]
    assert set(key) == members  # no private part
    token = authenticate(api, register(api))["access_token"]
    assert parts(token)[0] == {"alg": algorithm, "typ": "at+jwt", "kid": key["kid"]}
    assert me(api, token).status_code == 200
