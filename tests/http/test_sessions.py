"""POST /authenticate, POST /refresh, POST /revoke, and the access tokens that they give."""

from __future__ import annotations

import re
import time

import jwt
import pytest
import time_machine

from app.bootstrap import Service
from tests.http.steps import (
    ISSUER,
    SECRET,
    authenticate,
    me,
    parts,
    problem,
    refresh,
    register,
    stored,
)

DAY = 86_400
CLAIMS = {
    "iss",
    "sub",
    "aud",
    "iat",
    "exp",
    "jti",
    "client_id",
    "sid",
    "user_id",
    "auth_time",
    "scope",
}


@pytest.fixture
def user_key(api) -> str:
    return register(api)


@pytest.fixture
def tokens(api, user_key) -> dict[str, str]:
    return authenticate(api, user_key)


def test_authenticating_gives_exactly_two_tokens(api, user_key, tmp_path) -> None:
    before = stored(tmp_path)
    body = {"user_key": user_key, "user_secret": SECRET}
    answer = api.post("/authenticate", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token", "refresh_token"}
    assert re.fullmatch(r"gbr_[0-9A-Za-z]{77}", answer.json()["refresh_token"])
    assert answer.headers["cache-control"] == "no-store"
    assert stored(tmp_path)[len(before) :] == ["user.logged_in", "refresh_token.issued"]


def test_each_login_is_a_session_of_its_own(api, user_key) -> None:
    one, other = authenticate(api, user_key), authenticate(api, user_key)
    assert parts(one["access_token"])[1]["sid"] != parts(other["access_token"])[1]["sid"]
    assert one["refresh_token"] != other["refresh_token"]
    api.post("/revoke", json={"refresh_token": one["refresh_token"]})
    assert refresh(api, other["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_secret": "not the secret"},
        {"user_key": "uk_00000000000000000000000000"},
        {"user_key": "Ada"},
        {"user_key": ""},
        {"user_key": "UPPER"},
    ],
    ids=str,
)
def test_every_wrong_login_gets_the_same_answer(api, user_key, wrong) -> None:
    """Security rule 9."""
    given = {"user_key": user_key, "user_secret": SECRET, **wrong}
    if wrong.get("user_key") == "UPPER":
        given["user_key"] = user_key.upper()
    answer = api.post("/authenticate", json=given)
    body = problem(answer, 401, "invalid_credentials")
    assert body["detail"] == "The user or the secret is not right."
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook"'


def test_an_access_token_has_exactly_the_promised_header_and_claims(api, user_key) -> None:
    """Security rule 15: `sub` is the key, never the name."""
    before = int(time.time())
    token = authenticate(api, user_key)["access_token"]
    header, claims = parts(token)
    assert list(header) == ["alg", "typ", "kid"]
    assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
    assert header["kid"] in {key["kid"] for key in api.get("/.well-known/jwks.json").json()["keys"]}
    assert set(claims) == CLAIMS
    assert claims["iss"] == claims["aud"] == ISSUER
    assert claims["sub"] == claims["client_id"] == user_key
    assert claims["user_id"] == "Ada"
    assert claims["scope"] == ""
    assert re.fullmatch(r"[0-9A-Za-z]{22}", claims["sid"])
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", claims["jti"])
    assert all(type(claims[name]) is int for name in ("iat", "exp", "auth_time"))
    assert before <= claims["auth_time"] <= claims["iat"] <= before + 2
    assert claims["exp"] - claims["iat"] == 3600


def test_anybody_can_verify_a_token_with_the_published_keys(api, tokens) -> None:
    keys = jwt.PyJWKSet.from_dict(api.get("/.well-known/jwks.json").json())
    header, claims = parts(tokens["access_token"])
    (key,) = [key for key in keys.keys if key.key_id == header["kid"]]
    assert claims == jwt.decode(
        tokens["access_token"], key, algorithms=["ES256"], audience=ISSUER, issuer=ISSUER
    )


def test_life_and_audience_of_access_tokens_are_settings(start) -> None:
    api = start(ACCESS_TOKEN_TTL="90", AUDIENCE="urn:example:shop")
    token = authenticate(api, register(api))["access_token"]
    _, claims = parts(token)
    assert claims["exp"] - claims["iat"] == 90
    assert claims["aud"] == "urn:example:shop"
    assert me(api, token).status_code == 200


@pytest.mark.parametrize("given", [{}, {"rotate": False}])
def test_refreshing_gives_a_new_access_token_of_the_same_session(api, tokens, given) -> None:
    body = {"refresh_token": tokens["refresh_token"], **given}
    answer = api.post("/refresh", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {"access_token"}
    assert answer.headers["cache-control"] == "no-store"
    _, first = parts(tokens["access_token"])
    _, second = parts(answer.json()["access_token"])
    assert {name for name in CLAIMS if first[name] != second[name]} <= {"jti", "iat", "exp"}
    assert first["jti"] != second["jti"]
    assert me(api, answer.json()["access_token"]).status_code == 200


def test_a_steady_refresh_writes_nothing(api, tokens, tmp_path) -> None:
    before = stored(tmp_path)
    assert refresh(api, tokens["refresh_token"]).status_code == 200
    first = stored(tmp_path)
    assert first[len(before) :] == ["refresh_token.used"]
    for _ in range(5):
        assert refresh(api, tokens["refresh_token"]).status_code == 200
    assert stored(tmp_path) == first


def test_a_use_from_elsewhere_is_recorded(api, tokens, tmp_path) -> None:
    before = len(stored(tmp_path))
    for agent in ("one", "one", "two", "two", "one"):
        refresh(api, tokens["refresh_token"], headers={"User-Agent": agent})
    assert stored(tmp_path)[before:] == ["refresh_token.used"] * 3


def test_a_use_is_recorded_again_after_a_day(api, tmp_path) -> None:
    with time_machine.travel(time.time(), tick=True) as clock:
        token = authenticate(api, register(api))["refresh_token"]
        before = len(stored(tmp_path))
        refresh(api, token)
        clock.shift(DAY - 60)
        refresh(api, token)
        assert stored(tmp_path)[before:] == ["refresh_token.used"]
        clock.shift(120)
        refresh(api, token)
        refresh(api, token)
        assert stored(tmp_path)[before:] == ["refresh_token.used"] * 2


def test_every_use_is_recorded_where_that_is_set(start, tmp_path) -> None:
    api = start(REFRESH_AUDIT="every")
    token = authenticate(api, register(api))["refresh_token"]
    before = len(stored(tmp_path))
    for _ in range(4):
        refresh(api, token)
    assert stored(tmp_path)[before:] == ["refresh_token.used"] * 4


def mistyped(token: str) -> str:
    return token[:-1] + ("0" if token[-1] != "0" else "1")


@pytest.mark.parametrize(
    "spoilt",
    [mistyped, str.upper, lambda t: t + "0", lambda t: t[:-1], lambda _: "", lambda _: "gbr_"],
    ids=["mistyped", "upper", "longer", "shorter", "empty", "prefix"],
)
def test_what_is_no_refresh_token_is_refused_without_a_reason(api, tokens, spoilt) -> None:
    answer = refresh(api, spoilt(tokens["refresh_token"]))
    problem(answer, 401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gatebook", error="invalid_token"'


def test_revoking_ends_the_session_and_says_nothing(api, tokens, tmp_path) -> None:
    """Security rule 16."""
    before = len(stored(tmp_path))
    for _ in range(2):
        answer = api.post("/revoke", json={"refresh_token": tokens["refresh_token"]})
        assert (answer.status_code, answer.json()) == (200, {})
        assert answer.headers["cache-control"] == "no-store"
    assert stored(tmp_path)[before:] == ["refresh_token.revoked"]
    answer = refresh(api, tokens["refresh_token"])
    assert problem(answer, 401, "invalid_token", "reason")["reason"] == "revoked"


def test_revoking_what_nobody_knows_is_answered_alike(api, tokens, tmp_path) -> None:
    before = stored(tmp_path)
    for unknown in ("", "nothing", mistyped(tokens["refresh_token"]), tokens["access_token"]):
        answer = api.post("/revoke", json={"refresh_token": unknown})
        assert (answer.status_code, answer.json()) == (200, {})
    assert stored(tmp_path) == before


def test_no_access_token_outlives_its_session(start) -> None:
    api = start(SESSION_MAX="600")
    with time_machine.travel(time.time(), tick=True) as clock:
        user_key = register(api)
        began = time.time()
        tokens = authenticate(api, user_key)
        assert parts(tokens["access_token"])[1]["exp"] <= began + 602
        clock.shift(500)
        later = refresh(api, tokens["refresh_token"]).json()["access_token"]
        _, claims = parts(later)
        assert claims["exp"] <= began + 602
        assert claims["auth_time"] <= began + 2
        clock.shift(110)
        answer = refresh(api, tokens["refresh_token"])
        assert problem(answer, 401, "invalid_token", "reason")["reason"] == "expired"
        assert problem(me(api, later), 401, "invalid_token", "reason")["reason"] == "expired"


def test_the_absolute_limit_holds_however_much_a_session_is_used(start) -> None:
    api = start(SESSION_IDLE="30d", SESSION_MAX="60d")
    with time_machine.travel(time.time(), tick=True) as clock:
        token = authenticate(api, register(api))["refresh_token"]
        for _ in range(3):
            clock.shift(19 * DAY)
            assert refresh(api, token).status_code == 200
        clock.shift(4 * DAY)
        answer = refresh(api, token)
        assert problem(answer, 401, "invalid_token", "reason")["reason"] == "expired"


def test_a_session_that_rests_too_long_is_over(api) -> None:
    """Counted from the last recorded use: 30 days by default."""
    with time_machine.travel(time.time(), tick=True) as clock:
        token = authenticate(api, register(api))["refresh_token"]
        clock.shift(29 * DAY)
        assert refresh(api, token).status_code == 200
        clock.shift(29 * DAY)
        assert refresh(api, token).status_code == 200
        clock.shift(31 * DAY)
        answer = refresh(api, token)
        assert problem(answer, 401, "invalid_token", "reason")["reason"] == "expired"


def test_an_access_token_ends_at_its_time(api) -> None:
    """Security rule 13: no leeway of our own."""
    with time_machine.travel(time.time(), tick=True) as clock:
        tokens = authenticate(api, register(api))
        clock.shift(3590)
        assert me(api, tokens["access_token"]).status_code == 200
        clock.shift(11)
        answer = me(api, tokens["access_token"])
        assert problem(answer, 401, "invalid_token", "reason")["reason"] == "expired"
        assert refresh(api, tokens["refresh_token"]).status_code == 200


def test_failures_of_a_source_are_counted_and_a_wait_is_named(api, user_key) -> None:
    """Security rule 18: refreshing and rotating neither spend nor reset what failures spend."""
    tokens, rotating = authenticate(api, user_key), authenticate(api, user_key)["refresh_token"]
    wrong = {"user_key": user_key, "user_secret": "not the secret"}
    refused = None
    for _ in range(130):
        refresh(api, tokens["refresh_token"])
        rotated = api.post("/refresh", json={"refresh_token": rotating, "rotate": True})
        rotating = rotated.json()["refresh_token"]
        answer = api.post("/authenticate", json=wrong)
        if answer.status_code == 429:
            refused = answer
            break
        problem(answer, 401, "invalid_credentials")
    assert refused is not None
    problem(refused, 429, "too_many_attempts")
    assert 1 <= int(refused.headers["retry-after"]) <= 180  # 20 an hour
    for path in ("/userkey", "/register"):
        answer = api.post(path, json={"user_id": "Ada", "user_secret": SECRET})
        assert answer.status_code in {200, 409, 429}  # a place may have come back meanwhile
    assert refresh(api, tokens["refresh_token"]).status_code == 200


def test_a_full_hash_queue_refuses_at_once(start) -> None:
    """What would wait longer than two seconds is told so, and costs nothing."""
    services: list[Service] = []
    api = start(on_start=services.append)
    user_key = register(api)
    pool = services[0].pool
    pool._seconds_per_job = 100.0
    pool._outstanding += pool._threads  # as if every thread were busy
    answer = api.post("/authenticate", json={"user_key": user_key, "user_secret": SECRET})
    problem(answer, 503, "overloaded")
    assert int(answer.headers["retry-after"]) >= 1
    pool._outstanding -= pool._threads
    authenticate(api, user_key)
