"""How a client says who it is, at the endpoints of OAuth: in one way, or by its id alone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.steps import SECRET, authenticate, me, problem, refresh, register
from tests.http.test_oauth import ask, basic, bearer, refused

NO_SECRETS = ["walnut\0orbit", "walnut orbit \N{ZERO WIDTH SPACE}", "x" * 1_025]
GUESSES = 150
"""More than a budget has."""


def test_two_ways_of_authentication_are_one_too_many(api) -> None:
    user_key = register(api)
    form: dict[str, Any] = {
        "grant_type": "client_credentials",
        "client_secret": SECRET,
        "client_id": user_key,
    }
    refused(ask(api, "token", basic(user_key), **form), 400, "invalid_request")
    assert ask(api, "token", **form).status_code == 200
    twice = [*basic(user_key).items(), *basic(user_key, "another secret").items()]
    refused(api.post("/oauth/token", data=form, headers=twice), 400, "invalid_request")


def test_who_names_no_client_or_shows_no_right_secret_is_no_client(api) -> None:
    user_key = register(api)
    form: dict[str, Any] = {"grant_type": "client_credentials"}
    refused(ask(api, "token", **form), 401, "invalid_client")
    refused(ask(api, "token", client_id=user_key, **form), 401, "invalid_client")
    refused(ask(api, "token", basic(user_key, "not the secret"), **form), 401, "invalid_client")
    refused(ask(api, "token", basic(user_key[:-1]), **form), 401, "invalid_client")


# --- what can't be a secret


def hashes(api) -> float:
    """How many there were."""
    (line,) = (
        line
        for line in api.get("/metrics").text.splitlines()
        if line.startswith("gatebook_hash_seconds_count")
    )
    return float(line.rpartition(" ")[2])


def shown(user_key: str, secret: str, *, posted: bool, **form: str) -> dict[str, Any]:
    """A client that shows this secret in one of the ways."""
    if posted:
        return {"client_id": user_key, "client_secret": secret, **form}
    return {"headers": basic(user_key, secret), **form}


@pytest.mark.parametrize("posted", [False, True])
@pytest.mark.parametrize("secret", NO_SECRETS)
def test_what_can_t_be_a_secret_is_a_wrong_one(api, secret: str, *, posted: bool) -> None:
    """Security rule 9: for whomever, at the same cost."""
    ada = register(api)
    told = []
    for user_key in (ada, "uk_0emydfcytg8x0rfmkqdenq97k6", "nobody"):
        for given in ("not the secret", secret):
            before = hashes(api)
            client = shown(user_key, given, posted=posted, grant_type="client_credentials")
            told.append(refused(ask(api, "token", **client), 401, "invalid_client"))
            assert hashes(api) == before + 1
    assert all(each == told[0] for each in told)


@pytest.mark.parametrize("secret", ["", *NO_SECRETS])
def test_nor_is_it_one_at_any_other_endpoint_or_grant(api, secret: str) -> None:
    by, tokens = basic(ada := register(api), secret), authenticate(api, ada)
    refused(ask(api, "token", by, grant_type="client_credentials"), 401, "invalid_client")
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refused(ask(api, "token", by, **form), 401, "invalid_client")
    refused(ask(api, "introspect", by, token=tokens["access_token"]), 401, "invalid_client")
    refused(ask(api, "revoke", by, token=tokens["access_token"]), 401, "invalid_client")
    assert me(api, tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("secret", ["", "x" * 1_025])
def test_it_is_counted_as_any_other_guess_is(api, secret: str) -> None:
    by = basic(register(api), secret)
    answers = [ask(api, "token", by, grant_type="client_credentials") for _ in range(GUESSES)]
    refused(answers[0], 401, "invalid_client")
    refused(answers[-1], 429, "temporarily_unavailable")
    assert int(answers[-1].headers["retry-after"]) > 0


@pytest.mark.parametrize("secret", ["", *NO_SECRETS])
@pytest.mark.parametrize("path", ["/authenticate", "/userkey", "/me/secret"])
def test_in_json_it_is_told_before_a_hash_is_spent(api, path: str, secret: str) -> None:
    """Security rule 1."""
    user_key = register(api)
    by = bearer(authenticate(api, user_key)["access_token"])
    named: dict[str, dict[str, str]] = {
        "/authenticate": {"user_key": user_key},
        "/userkey": {"user_id": "Ada"},
        "/me/secret": {"new_user_secret": "another rope of seven"},
    }
    before = hashes(api)
    answer = api.post(path, json={"user_secret": secret, **named[path]}, headers=by)
    body = problem(answer, 400, "invalid_request", "errors")
    assert body["errors"][0]["pointer"] == "/user_secret"
    assert hashes(api) == before


# --- an access token beside it


def test_who_asks_by_a_token_shows_no_secret_and_no_other_client(api) -> None:
    ada, bob = register(api), register(api, "Bob")
    token = authenticate(api, ada)["access_token"]
    by: dict[str, str] = bearer(token)
    for secret in (SECRET, "not the secret"):
        both = {"client_id": ada, "client_secret": secret}
        refused(ask(api, "introspect", by, token=token, **both), 400, "invalid_request")
    only = ask(api, "introspect", by, token=token, client_secret=SECRET)
    refused(only, 400, "invalid_request")
    for other in (bob, "nobody"):
        answer = ask(api, "introspect", by, token=token, client_id=other)
        refused(answer, 400, "invalid_request")
    assert ask(api, "introspect", by, token=token, client_id=ada).json()["active"] is True
    assert ask(api, "introspect", by, token=token).json()["active"] is True
    wrong = ask(api, "introspect", bearer("made.up.token"), token=token, client_id=ada)
    refused(wrong, 401, "invalid_client")


@pytest.mark.parametrize("token", ["", "made.up.token"])
def test_where_the_id_suffices_a_bearer_is_passed_over(api, token: str) -> None:
    """Some libraries add theirs to every request."""
    ada = register(api)
    tokens = authenticate(api, ada)
    by = bearer(token or tokens["access_token"])
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    changed = ask(api, "token", by, client_id=ada, **form)
    assert changed.status_code == 200, changed.text
    revoked = ask(api, "revoke", by, client_id=ada, token=changed.json()["refresh_token"])
    assert revoked.status_code == 200
    assert refresh(api, changed.json()["refresh_token"]).status_code == 401


def test_it_names_no_client_and_stands_for_no_secret(api) -> None:
    ada = register(api)
    tokens = authenticate(api, ada)
    by = bearer(tokens["access_token"])
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    refused(ask(api, "token", by, **form), 401, "invalid_client")
    refused(ask(api, "revoke", by, token=tokens["refresh_token"]), 401, "invalid_client")
    alone = ask(api, "token", by, grant_type="client_credentials", client_id=ada)
    refused(alone, 401, "invalid_client")


@pytest.mark.parametrize("secret", [SECRET, "not the secret"])
def test_beside_a_secret_it_is_one_way_too_many(api, secret: str) -> None:
    ada = register(api)
    tokens = authenticate(api, ada)
    by, client = bearer(tokens["access_token"]), {"client_id": ada, "client_secret": secret}
    token = tokens["refresh_token"]
    for form in (
        {"grant_type": "client_credentials"},
        {"grant_type": "refresh_token", "refresh_token": token},
    ):
        refused(ask(api, "token", by, **client, **form), 400, "invalid_request")
    refused(ask(api, "revoke", by, token=token, **client), 400, "invalid_request")
    assert refresh(api, token).status_code == 200
