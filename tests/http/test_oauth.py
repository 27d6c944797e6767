"""The OAuth endpoints: grants, introspection, revocation, errors (RFC 6749, 7009, 7662)."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest

from domain.commands import WithdrawPermissions
from tests.http.people import People, Person
from tests.http.steps import ISSUER, SECRET, authenticate, me, parts, problem, register

AWKWARD = "walnut:orbit%tea+cup \N{FOX FACE}"


def basic(user_key: str, secret: str = SECRET) -> dict[str, str]:
    pair = f"{quote_plus(user_key)}:{quote_plus(secret)}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask(api, what: str, headers: dict[str, str] | None = None, **form: Any):
    return api.post(f"/oauth/{what}", data=form, headers=headers or {})


def granted(api, user_key: str, secret: str = SECRET, **form: str) -> dict[str, Any]:
    answer = ask(api, "token", basic(user_key, secret), grant_type="client_credentials", **form)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    return answer.json()


def refused(answer, status: int, error: str) -> dict[str, str]:
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error), answer.text
    assert set(body) == {"error", "error_description"}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    challenged = "www-authenticate" in answer.headers
    assert challenged == (status == 401)
    if challenged:
        assert answer.headers["www-authenticate"].startswith("Basic ")
    return body


@pytest.mark.parametrize("secret", [SECRET, AWKWARD])
def test_a_program_gets_a_token_for_its_secret(start_anywhere, secret: str) -> None:
    api = start_anywhere()
    user_key = register(api, "robot", secret)
    found = granted(api, user_key, secret)
    assert set(found) == {"access_token", "token_type", "expires_in", "scope"}
    assert (found["token_type"], found["expires_in"], found["scope"]) == ("Bearer", 3600, "")
    assert me(api, found["access_token"]).json()["user_id"] == "robot"
    posted = ask(
        api, "token", grant_type="client_credentials", client_id=user_key, client_secret=secret
    )
    assert posted.status_code == 200


def test_a_program_has_one_session_and_a_steady_grant_writes_nothing(start_anywhere) -> None:
    api = start_anywhere()
    user_key = register(api)
    tokens = [granted(api, user_key)["access_token"] for _ in range(5)]
    assert len({parts(token)[1]["sid"] for token in tokens}) == 1
    history = api.get("/me/events", headers=bearer(tokens[0])).json()["items"]
    types = [each["type"] for each in reversed(history)]
    assert types == [
        "user.registered",
        "user.logged_in",
        "refresh_token.issued",
        "refresh_token.used",
    ]
    (session,) = api.get("/sessions", headers=bearer(tokens[0])).json()["items"]
    assert session["kind"] == "service"


def test_after_its_end_a_new_service_session_begins(api) -> None:
    user_key = register(api)
    first = granted(api, user_key)["access_token"]
    sid = parts(first)[1]["sid"]
    assert api.delete(f"/sessions/{sid}", headers=bearer(first)).status_code == 204
    assert me(api, first).status_code == 401
    second = granted(api, user_key)["access_token"]
    assert parts(second)[1]["sid"] != sid
    assert me(api, second).status_code == 200


def test_a_refresh_token_is_changed_each_time(api) -> None:
    user_key = register(api)
    old = authenticate(api, user_key)["refresh_token"]
    answer = ask(api, "token", grant_type="refresh_token", client_id=user_key, refresh_token=old)
    assert answer.status_code == 200
    found = answer.json()
    assert set(found) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    again = ask(api, "token", grant_type="refresh_token", client_id=user_key, refresh_token=old)
    assert again.json()["refresh_token"] == found["refresh_token"], "a lost answer"


def test_another_users_refresh_token_is_refused_and_left_alone(api) -> None:
    ada, bob = register(api), register(api, "Bob")
    token = authenticate(api, ada)["refresh_token"]
    answer = ask(api, "token", grant_type="refresh_token", client_id=bob, refresh_token=token)
    refused(answer, 400, "invalid_grant")
    assert api.post("/refresh", json={"refresh_token": token}).status_code == 200


def test_a_secret_that_is_sent_with_a_refresh_token_is_checked(api) -> None:
    user_key = register(api)
    token = authenticate(api, user_key)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    refused(ask(api, "token", basic(user_key, "not the secret"), **form), 401, "invalid_client")
    assert ask(api, "token", basic(user_key), **form).status_code == 200


@pytest.mark.parametrize("scope", ["admin", "users:read", "NO GOOD", " "])
def test_a_scope_never_widens(api, scope: str) -> None:
    by = basic(register(api))
    answer = ask(api, "token", by, grant_type="client_credentials", scope=scope)
    refused(answer, 400, "invalid_scope")


def test_a_scope_may_narrow(people: People) -> None:
    admin = people.new("admin")
    answer = people.client.post(
        "/oauth/token",
        data={"grant_type": "client_credentials", "scope": "users:read"},
        headers=basic(admin.user_key),
    )
    assert answer.status_code == 200, answer.text
    narrow = bearer(answer.json()["access_token"])
    assert answer.json()["scope"] == "users:read"
    assert people.client.get("/users", headers=narrow).status_code == 200
    assert people.client.get("/keys", headers=narrow).status_code == 403


def test_no_more_is_told_of_a_token_than_it_has_and_its_user_still_holds(people: People) -> None:
    """Where a service asks what a token is worth, which goes by the answer."""
    admin = people.new("events:read", "users:read")
    form = {"grant_type": "client_credentials", "scope": "users:read"}
    narrow = ask(people.client, "token", basic(admin.user_key), **form).json()["access_token"]

    def scope_of(token: str) -> str:
        found = ask(people.client, "introspect", basic(admin.user_key), token=token).json()
        assert found["active"] is True
        return str(found["scope"])

    assert scope_of(admin.access) == "events:read users:read"
    assert scope_of(narrow) == "users:read"
    people.wish(WithdrawPermissions(admin.user_key, ("users:read",)))
    assert scope_of(admin.access) == "events:read"
    assert scope_of(narrow) == ""


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "gbr_made-up"}, "invalid_grant"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, "invalid_request"),
    ],
)
def test_a_wrong_form_is_told_as_oauth_tells_it(api, form: dict[str, Any], error: str) -> None:
    refused(ask(api, "token", basic(register(api)), **form), 400, error)


@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
def test_only_forms_are_read(api, path: str) -> None:
    refused(api.post(f"/oauth/{path}", json={"token": "a"}), 415, "invalid_request")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    coded = {**form, "Content-Encoding": "gzip"}
    refused(api.post(f"/oauth/{path}", content=b"token=a", headers=coded), 415, "invalid_request")
    for body in (b"token=%zz", b"token=%ff", b"token=\xff", b"a=1&a=2", b"&".join([b"a=1"] * 99)):
        refused(api.post(f"/oauth/{path}", content=body, headers=form), 400, "invalid_request")
    refused(api.post(f"/oauth/{path}", content=b"a=" + b"1" * 17_000, headers=form), 413,
            "invalid_request")  # fmt: skip


def test_too_many_parameters_are_told_as_that(api) -> None:
    by = basic(register(api))
    more = {f"a{number}": "1" for number in range(31)}
    assert ask(api, "token", by, grant_type="client_credentials", **more).status_code == 200
    answer = ask(api, "token", by, grant_type="client_credentials", another="1", **more)
    told = refused(answer, 400, "invalid_request")["error_description"]
    assert told == "There are more than 32 parameters."


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/introspect", "//oauth/revoke/"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_refused_as_oauth_tells_it(api, method: str, path: str) -> None:
    answer = api.request(method, f"{ISSUER}{path}")
    refused(answer, 405, "invalid_request")
    assert set(answer.headers["allow"].split(", ")) == {"POST", "OPTIONS"}


def test_what_is_no_endpoint_of_oauth_is_a_problem(api) -> None:
    problem(api.post("/oauth/nothing", data={"token": "a"}), 404, "not_found")
    problem(api.get("/oauth"), 404, "not_found")
    problem(api.get("/authenticate"), 405, "method_not_allowed")


def test_what_only_oauth_has_a_word_for_is_counted_too(api) -> None:
    by = basic(register(api))
    for _ in range(2):
        ask(api, "token", by, grant_type="password")
    ask(api, "token", by, grant_type="client_credentials", scope="admin")
    ask(api, "token", by, grant_type="")
    counted = {
        line
        for line in api.get("/metrics").text.splitlines()
        if line.startswith("gatebook_refusals_total{")
    }
    assert counted == {
        'gatebook_refusals_total{code="unsupported_grant_type",reason=""} 2.0',
        'gatebook_refusals_total{code="invalid_scope",reason=""} 1.0',
        'gatebook_refusals_total{code="invalid_request",reason=""} 1.0',
    }


# --- introspection


def test_the_tokens_own_user_may_ask_what_it_is_worth(api) -> None:
    user_key = register(api)
    token = authenticate(api, user_key)["access_token"]
    claims = parts(token)[1]
    for headers in (bearer(token), basic(user_key)):
        answer = ask(api, "introspect", headers, token=token)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "active": True,
            "scope": "",
            "client_id": user_key,
            "username": "Ada",
            "token_type": "Bearer",
            **{name: claims[name] for name in ("exp", "iat", "sub", "aud", "iss", "jti", "sid")},
        }


def test_nobody_else_may_without_the_permission(api) -> None:
    ada, bob = register(api), register(api, "Bob")
    token = authenticate(api, ada)["access_token"]
    refused(ask(api, "introspect", basic(bob), token=token), 403, "insufficient_scope")
    refused(ask(api, "introspect", basic(bob), token="made.up.token"), 403, "insufficient_scope")
    refused(ask(api, "introspect", token=token), 401, "invalid_client")
    refused(ask(api, "introspect", bearer("made.up.token"), token=token), 401, "invalid_client")


def test_a_refresh_token_and_an_ended_session_are_inactive(api) -> None:
    user_key = register(api)
    tokens = authenticate(api, user_key)
    by = basic(user_key)
    inactive = {"active": False}
    assert ask(api, "introspect", by, token=tokens["refresh_token"]).json() == inactive
    assert ask(api, "introspect", by, token=tokens["access_token"]).json()["active"] is True
    api.post("/revoke", json={"refresh_token": tokens["refresh_token"]})
    assert ask(api, "introspect", by, token=tokens["access_token"]).json() == inactive


def test_the_own_token_of_a_withdrawn_key_is_inactive(people: People) -> None:
    """Its word for whose it is suffices, for nothing is said of it; for others it says nothing."""
    admin, ada, bob = people.new("admin"), people.new(), people.new()
    holder = people.new("tokens:introspect")
    old = ada.access
    assert admin.post("/keys/rotate", {"now": True}).status_code == 200
    for person in (ada, bob, holder):
        person.log_in()

    def asked(by: Person, token: str):
        return ask(people.client, "introspect", bearer(by.access), token=token)

    forged = f"{ada.access.rpartition('.')[0]}.{'A' * 86}"
    for token in (old, forged):
        for by in (ada, holder):
            assert (asked(by, token).status_code, asked(by, token).json()) == (
                200,
                {"active": False},
            )
        refused(asked(bob, token), 403, "insufficient_scope")
    header, payload, signature = old.split(".")
    for garbage in (
        "made.up.token",
        f"{header}.{payload}",
        f"{header}.{payload}=.{signature}",
        f"{header}.{payload}.{signature}\N{FOX FACE}",
        f"{header}.e30.{signature}",
    ):
        refused(asked(ada, garbage), 403, "insufficient_scope")


# --- revocation


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_either_kind_of_token_ends_its_session(api, kind: str) -> None:
    user_key = register(api)
    tokens = authenticate(api, user_key)
    answer = ask(api, "revoke", client_id=user_key, token=tokens[kind], token_type_hint="x")
    assert (answer.status_code, answer.content) == (200, b"")
    assert me(api, tokens["access_token"]).status_code == 401
    assert ask(api, "revoke", client_id=user_key, token=tokens[kind]).status_code == 200


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_anothers_token_is_left_alone(api, kind: str) -> None:
    ada, bob = register(api), register(api, "Bob")
    tokens = authenticate(api, ada)
    assert ask(api, "revoke", client_id=bob, token=tokens[kind]).status_code == 200
    assert me(api, tokens["access_token"]).status_code == 200


def test_a_revocation_with_a_wrong_secret_does_nothing(api) -> None:
    user_key = register(api)
    tokens = authenticate(api, user_key)
    answer = ask(api, "revoke", basic(user_key, "not the secret"), token=tokens["refresh_token"])
    refused(answer, 401, "invalid_client")
    assert me(api, tokens["access_token"]).status_code == 200
    refused(ask(api, "revoke", token=tokens["refresh_token"]), 401, "invalid_client")


# --- what only looks harmless


def test_reuse_is_found_whatever_is_asked_for_with_it(api) -> None:
    user_key = register(api)
    first = authenticate(api, user_key)["refresh_token"]

    def changed(token: str, **more: str):
        form: dict[str, Any] = {"client_id": user_key, "refresh_token": token, **more}
        return ask(api, "token", grant_type="refresh_token", **form)

    newest = changed(changed(first).json()["refresh_token"]).json()["refresh_token"]
    refused(changed(newest, scope="#"), 400, "invalid_scope")
    refused(changed(first, scope="#"), 400, "invalid_grant")
    refused(changed(newest), 400, "invalid_grant")


@pytest.mark.parametrize("name", ["ada.lovelace@example.com", "x\n2026 FORGED\x1b[31m", "\u2028"])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_client_id_that_is_no_key_is_in_no_log_line(
    start, capfd, name: str, log_format: str
) -> None:
    """Security rules 19 and 21."""
    api = start(LOG_FORMAT=log_format)
    refused(ask(api, "token", grant_type="client_credentials", client_id=name), 401,
            "invalid_client")  # fmt: skip
    refused(ask(api, "token", basic(name), grant_type="client_credentials"), 401, "invalid_client")
    told = capfd.readouterr()
    assert "/oauth/token" in told.out + told.err
    for part in ("lovelace", "FORGED", "\x1b", "\u2028"):
        assert part not in told.out + told.err
