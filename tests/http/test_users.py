"""POST /register, POST /userkey, GET /me."""

from __future__ import annotations

import time

import pytest

from app.argon2id import Parameters
from app.bootstrap import Service
from app.failed_logins import FailedLogins
from app.opening import wrapped_key
from projections.user_directory import CREDENTIAL_BY_KEY, CredentialRow
from tests.http.steps import (
    SECRET,
    USER_KEY,
    authenticate,
    me,
    problem,
    refresh,
    register,
    seconds,
    stored,
)


def test_registering_gives_a_key_and_nothing_else(api, tmp_path) -> None:
    before = stored(tmp_path)
    answer = api.post("/register", json={"user_id": "Ada", "user_secret": SECRET})
    assert answer.status_code == 201
    assert set(answer.json()) == {"user_key"}
    assert USER_KEY.fullmatch(answer.json()["user_key"])
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert stored(tmp_path)[len(before) :] == ["user.registered"]


@pytest.mark.parametrize("name", ["Ada", "ada", "ADA", "\uff21\uff24\uff21", "\uff41da"])
def test_one_name_is_taken_however_it_is_spelt(api, tmp_path, name) -> None:
    """Security rules 4 and 10."""
    register(api, "Ada")
    before = stored(tmp_path)
    answer = api.post("/register", json={"user_id": name, "user_secret": "another good secret"})
    problem(answer, 409, "user_id_taken")
    assert stored(tmp_path) == before


@pytest.mark.parametrize("typed", ["Ada", "ADA", "\uff21\uff24\uff21", "ada@example.org", "Zoë"])
def test_a_name_is_shown_as_typed_and_found_by_its_other_spellings(api, typed) -> None:
    """Security rule 4."""
    user_key = register(api, typed)
    for spelling in (typed, typed.lower(), typed.upper()):
        answer = api.post("/userkey", json={"user_id": spelling, "user_secret": SECRET})
        assert (answer.status_code, answer.json()) == (200, {"user_key": user_key})
        assert answer.headers["cache-control"] == "no-store"
    assert me(api, authenticate(api, user_key)["access_token"]).json()["user_id"] == typed


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("short", "at least 8"),
        ("x" * 1025, "1024"),
        ("password1", "most used"),
        ("Lovelace", "user_id"),
        ("ecalevol", "user_id"),
        ("lovelacelovelace", "user_id"),
        ("gatebook", "name of this service"),
    ],
)
def test_an_unacceptable_secret_is_refused_with_the_reason(api, tmp_path, secret, said) -> None:
    """Security rule 11."""
    before = stored(tmp_path)
    answer = api.post("/register", json={"user_id": "Lovelace", "user_secret": secret})
    body = problem(answer, 400, "unacceptable_secret", "errors")
    (fault,) = body["errors"]
    assert fault["pointer"] == "/user_secret"
    assert said in fault["detail"].replace(",", "")
    assert secret not in answer.text or secret in said
    assert stored(tmp_path) == before


def test_a_secret_of_1024_bytes_counts_to_its_last_byte(api) -> None:
    """Security rule 5."""
    secret = "0123456789abcdef" * 64
    user_key = register(api, secret=secret)
    wrong = {"user_key": user_key, "user_secret": secret[:-1] + "e"}
    problem(api.post("/authenticate", json=wrong), 401, "invalid_credentials")
    authenticate(api, user_key, secret)


def test_a_secret_is_not_trimmed_and_is_one_in_both_unicode_forms(api) -> None:
    """Security rule 5."""
    user_key = register(api, secret=" caf\u00e9 au lait ")
    authenticate(api, user_key, " cafe\u0301 au lait ")
    wrong = {"user_key": user_key, "user_secret": "caf\u00e9 au lait"}
    problem(api.post("/authenticate", json=wrong), 401, "invalid_credentials")


def test_a_longer_secret_is_asked_for_where_it_is_set(start) -> None:
    api = start(SECRET_MIN_LENGTH="15")
    answer = api.post("/register", json={"user_id": "Ada", "user_secret": "fourteen chars"})
    assert (
        "at least 15"
        in problem(answer, 400, "unacceptable_secret", "errors")["errors"][0]["detail"]
    )
    register(api, secret="fifteen chars !")


def test_a_secret_is_hashed_with_the_memory_and_the_passes_that_are_set(start) -> None:
    services: list[Service] = []
    api = start(on_start=services.append, HASH_MEMORY_KIB="64", HASH_TIME="3")
    user_key = register(api)
    (service,) = services
    assert service.pool.in_use == (Parameters(64, 3),)
    with service.store.storage.snapshot() as rows:
        row = CredentialRow.of(rows.fetch(CREDENTIAL_BY_KEY, (b"", user_key))[0])
    assert row.secret_hash is not None
    key = wrapped_key(row.credential_master_id, row.credential_wrapped, user_key)
    opened = service.opener.credential(user_key, row.credential_version or 0, key, row.secret_hash)
    assert opened.startswith("$argon2id$v=19$m=64,t=3,p=1$")


def test_registration_can_be_closed(start, tmp_path) -> None:
    api = start(REGISTRATION="closed")
    before = stored(tmp_path)
    for name in ("Ada", ""):
        answer = api.post("/register", json={"user_id": name, "user_secret": SECRET})
        problem(answer, 403, "registration_closed")
    assert stored(tmp_path) == before


def test_registrations_of_a_source_are_counted_by_the_hour(start) -> None:
    api = start(REGISTRATIONS_PER_HOUR="2")
    register(api, "one")
    problem(api.post("/register", json={"user_id": "one", "user_secret": SECRET}), 409,
            "user_id_taken")  # fmt: skip
    register(api, "two")
    answer = api.post("/register", json={"user_id": "three", "user_secret": SECRET})
    body = problem(answer, 429, "too_many_attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 1800
    assert answer.headers["retry-after"] in body["detail"]


@pytest.mark.parametrize(
    "given",
    [
        {"user_id": "Ada", "user_secret": "not the secret"},
        {"user_id": "Eve", "user_secret": SECRET},
    ],
)
def test_the_key_is_for_who_knows_the_secret(api, given) -> None:
    """Security rule 9."""
    register(api)
    answer = api.post("/userkey", json=given)
    body = problem(answer, 401, "invalid_credentials")
    assert body["detail"] == "The user or the secret is not right."
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook"'


@pytest.mark.parametrize("path", ["/authenticate", "/userkey"])
def test_what_is_refused_is_counted_once_for_nobody_too(api, monkeypatch, path) -> None:
    """Security rule 9: as much is done for who isn't there, and nothing of it is kept."""
    asked: list[str | None] = []
    count = FailedLogins.count

    def noting(self: FailedLogins, user_key: str | None) -> None:
        asked.append(user_key)
        count(self, user_key)
        assert len(self) == len({*asked} - {None})

    monkeypatch.setattr(FailedLogins, "count", noting)
    ada, field = register(api), {"/authenticate": "user_key", "/userkey": "user_id"}[path]
    for who in (f"uk_{26 * '0'}", ada) if path == "/authenticate" else ("nobody", "Ada"):
        given = {field: who, "user_secret": "wrong " * 3}
        problem(api.post(path, json=given), 401, "invalid_credentials")
    assert asked == [None, ada]


def test_me_tells_exactly_who_holds_the_token(api) -> None:
    before = time.time()
    user_key = register(api)
    answer = me(api, authenticate(api, user_key)["access_token"])
    after = time.time()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert set(body) == {
        "user_key",
        "user_id",
        "permissions",
        "session_id",
        "registered_at",
        "expires_at",
    }
    assert body["user_key"] == user_key
    assert body["user_id"] == "Ada"
    assert body["permissions"] == []
    assert len(body["session_id"]) == 22
    assert before - 1 <= seconds(body["registered_at"]) <= after + 1
    assert before + 3_599 <= seconds(body["expires_at"]) <= after + 3_601


def test_a_token_of_an_ended_session_is_refused_at_once(api) -> None:
    """Security rule 16."""
    tokens = authenticate(api, register(api))
    other = authenticate(api, api.post(
        "/userkey", json={"user_id": "Ada", "user_secret": SECRET}
    ).json()["user_key"])  # fmt: skip
    api.post("/revoke", json={"refresh_token": tokens["refresh_token"]})
    answer = me(api, tokens["access_token"])
    assert problem(answer, 401, "invalid_token", "reason")["reason"] == "revoked"
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook", error="invalid_token"'
    assert me(api, other["access_token"]).status_code == 200


def test_no_token_is_told_apart_from_a_bad_one(api) -> None:
    """RFC 6750 §3.1: nothing shown, no error code."""
    answer = api.get("/me")
    problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook"'
    answer = me(api, "a.b.c")
    problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook", error="invalid_token"'


def test_a_stopped_service_has_everything_when_it_starts_again(start) -> None:
    """Security rule 25."""
    api = start()
    user_key = register(api)
    tokens = authenticate(api, user_key)
    start.stop()
    again = start()
    assert me(again, tokens["access_token"]).json()["user_key"] == user_key
    assert refresh(again, tokens["refresh_token"]).status_code == 200
    authenticate(again, user_key)
