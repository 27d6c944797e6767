"""The cookie: what a browser is told of it, and what it is worth from one moment to the next."""

from __future__ import annotations

import html
import itertools
import re
from typing import TYPE_CHECKING

import pytest

from tests.http.conftest import Starting
from tests.http.steps import ISSUER, SECRET, authenticate, refresh, register, stored
from tests.pages.visits import Visit, new_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = r"gbr_[0-9A-Za-z]{77}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starting]:
    starting = Starting(f"sqlite:///{tmp_path}/gatebook.db")
    yield starting
    starting.stop()


def log_in(api, who: str, **headers: str):
    """The answer to the form, on https."""
    fields = {"user": who, "user_secret": SECRET}
    given = {"origin": ISSUER, **headers}
    return api.post("/web/login", data=fields, headers=given, follow_redirects=False)


def test_on_https_it_is_of_this_host_alone_and_no_script_s(start: Starting) -> None:
    """Security rule 24."""
    api = start()
    answer = log_in(api, register(api))
    assert re.fullmatch(
        rf"__Host-gatebook={TOKEN}; Path=/; HttpOnly; SameSite=Strict; Secure",
        answer.headers["set-cookie"],
    )


def test_on_http_it_has_the_plain_name(ada: Visit) -> None:
    cookie = ada.log_in().headers["set-cookie"]
    assert re.fullmatch(rf"gatebook={TOKEN}; Path=/; HttpOnly; SameSite=Strict", cookie)


def test_the_plain_name_counts_for_nothing_on_https(start: Starting) -> None:
    """Another host of the domain could have set it."""
    api = start()
    token = log_in(api, register(api)).headers["set-cookie"].split(";")[0].partition("=")[2]
    api.cookies.clear()
    for cookie, status in (
        (f"gatebook={token}", 303),
        (f"__Host-gatebook={token}", 200),
        (f"__Host-gatebook={token}; __Host-gatebook={token}", 303),
        (f"other=1; __Host-gatebook={token}", 200),
        (f"__host-gatebook={token}", 303),
    ):
        answer = api.get("/account", headers={"cookie": cookie}, follow_redirects=False)
        assert answer.status_code == status, cookie


def test_a_session_of_a_page_is_an_ordinary_one(start: Starting) -> None:
    """Listed, recorded, ended and refused like any other."""
    api = start()
    user_key = register(api)
    log_in(api, user_key)
    api.get("/account")
    bearer = {"authorization": f"Bearer {authenticate(api, user_key)['access_token']}"}
    events = api.get("/me/events", headers=bearer).json()["items"]
    logins = [each["data"]["by"] for each in events if each["type"] == "user.logged_in"]
    assert logins == ["secret", "page"]
    assert [each["type"] for each in events].count("refresh_token.used") == 1
    assert len(api.get("/sessions", headers=bearer).json()["items"]) == 2
    assert api.delete("/sessions?keep=current", headers=bearer).status_code == 204
    gone = api.get("/account", follow_redirects=False)
    assert gone.headers["location"] == "/login?next=%2Faccount"
    assert gone.headers["set-cookie"].startswith("__Host-gatebook=; ")
    assert gone.headers["set-cookie"].endswith("Max-Age=0")


@pytest.mark.parametrize(
    ("asked", "to"),
    [
        ("/account/history?after=12", "/account/history?after=12"),
        ("/account/history?after=10:00+%C3%A9", "/account/history?after=10:00+%C3%A9"),
        ('/account/history?after="x"', "/account/history?after=%22x%22"),
        ("/account/history?after=<x>", "/account/history?after=%3Cx%3E"),
    ],
)
def test_who_has_to_log_in_first_comes_back_to_what_was_asked_for(
    start: Starting, asked: str, to: str
) -> None:
    api = start()
    user_key = register(api)
    sent = api.get(asked, follow_redirects=False)
    form = api.get(sent.headers["location"])
    wish = re.search(r'name="next" value="([^"]*)"', form.text)
    assert wish
    assert html.unescape(wish[1]) == to
    fields = {"user": user_key, "user_secret": SECRET, "next": html.unescape(wish[1])}
    answer = api.post("/web/login", data=fields, headers={"origin": ISSUER}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, to)


def test_looking_again_writes_nothing(start: Starting, tmp_path: Path) -> None:
    api = start()
    log_in(api, register(api))
    api.get("/account")
    before = stored(tmp_path)
    for path in ("/account", "/account/history", "/", "/account/secret"):
        assert api.get(path).status_code == 200
    assert stored(tmp_path) == before


def test_a_part_that_is_fetched_again_and_again_is_recorded_once(
    start: Starting, tmp_path: Path
) -> None:
    """As the progress of a rebuild is, every half second; where every use is recorded."""
    api = start(REFRESH_AUDIT="every")
    log_in(api, register(api))
    before = stored(tmp_path)
    for path in ("/account", "/account/history", "/"):
        for _ in range(3):
            assert api.get(path, headers={"hx-request": "true"}).status_code == 200
    assert stored(tmp_path) == before
    assert api.get("/account").status_code == 200
    assert stored(tmp_path) != before


def test_a_part_that_is_fetched_with_a_token_used_before_is_reuse_all_the_same(
    start: Starting,
) -> None:
    api = start(REFRESH_RETRY_WINDOW="0")
    token = log_in(api, register(api)).headers["set-cookie"].split(";")[0].partition("=")[2]
    for _ in range(3):
        token = api.post("/refresh", json={"refresh_token": token, "rotate": True}).json()[
            "refresh_token"
        ]
    part = api.get("/account", headers={"hx-request": "true"}, follow_redirects=False)
    assert part.headers["hx-redirect"] == "/login?next=/account"
    assert refresh(api, token).json()["reason"] == "reused"


def test_a_cookie_whose_token_was_rotated_and_used_ends_the_session(start: Starting) -> None:
    """Who has the cookie's token has the session: reuse is noticed here as at `/refresh`."""
    api = start(REFRESH_RETRY_WINDOW="0")
    user_key = register(api)
    token = log_in(api, user_key).headers["set-cookie"].split(";")[0].partition("=")[2]
    rotated = api.post("/refresh", json={"refresh_token": token, "rotate": True}).json()
    for _ in range(2):
        rotated = api.post(
            "/refresh", json={"refresh_token": rotated["refresh_token"], "rotate": True}
        ).json()
    assert api.get("/account", follow_redirects=False).status_code == 303
    answer = refresh(api, rotated["refresh_token"])
    assert answer.json()["reason"] == "reused"


def test_logging_in_again_ends_the_session_before(visit: Visit) -> None:
    before = visit.token
    assert visit.log_in().status_code == 303
    assert visit.token != before
    answer = visit.client.post("/refresh", json={"refresh_token": before})
    assert answer.json()["reason"] == "revoked"


def test_a_disabled_user_is_logged_out(start_people) -> None:
    admin, ada = start_people
    page = ada.people.client
    page.cookies.clear()
    assert log_in(page, ada.user_key).status_code == 303
    assert page.get("/account", follow_redirects=False).status_code == 200
    admin.post(f"{ada.at}/disable")
    assert page.get("/account", follow_redirects=False).status_code == 303
    assert log_in(page, ada.user_key).status_code == 401


@pytest.fixture
def start_people(start: Starting):
    people = start.people()
    return people.new("admin"), people.new()


def test_wrong_secrets_spend_the_budgets_of_the_api(start: Starting) -> None:
    """An account's, shared with `/authenticate`; the page says when to try again."""
    api = start()
    user_key = register(api)
    for _ in range(100):
        wrong = {"user": user_key, "user_secret": f"not {SECRET}"}
        answer = api.post("/web/login", data=wrong, headers={"origin": ISSUER})
        if answer.status_code == 429:
            break
        assert answer.status_code == 401
    body = {"user_key": user_key, "user_secret": f"not {SECRET}"}
    refused = api.post("/authenticate", json=body)
    assert refused.status_code == 429
    shown = log_in(api, user_key)
    assert shown.status_code == 429
    assert int(shown.headers["retry-after"]) > 0
    assert "Too many attempts" in shown.text
    counted = api.get("/metrics").text
    assert 'gatebook_refusals_total{code="too_many_attempts"' in counted
    assert 'route="/web/login"' in counted


def test_no_form_is_a_way_past_a_budget_that_is_spent(start: Starting) -> None:
    """That of the address, spent at the API; every form that takes a secret draws on it."""
    api = start()
    user_key = register(api)
    cookie = log_in(api, user_key).headers["set-cookie"].partition(";")[0]
    wrong = f"not {SECRET}"
    forms = {
        "/web/login": {"user": "nobody", "user_secret": wrong},
        "/web/register": {"user_id": "Ada", "user_secret": SECRET},
        "/web/secret": {"user_secret": wrong, "new_user_secret": f"another {SECRET}"},
        "/web/erase": {"user_secret": wrong},
    }
    # Each at another user, so that it is the address that has no more.
    guesses = ({"user_key": f"uk_{number:026}", "user_secret": wrong} for number in range(200))
    found = (api.post("/authenticate", json=each).status_code for each in guesses)
    assert sum(1 for _ in itertools.takewhile(lambda status: status == 401, found)) >= 99
    for path, fields in forms.items():
        headers = {"origin": ISSUER, "cookie": cookie}
        # A place comes back every three seconds: a slow machine may find some.
        answers = [api.post(path, data=fields, headers=headers) for _ in range(3)]
        assert {each.status_code for each in answers} <= {401, 409, 429}, path
        answer = next(each for each in answers if each.status_code == 429)
        assert int(answer.headers["retry-after"]) > 0
        assert "Too many attempts" in answer.text


def test_registration_may_be_closed(start: Starting) -> None:
    api = start(REGISTRATION="closed")
    assert "Registration is closed" in api.get("/register").text
    fields = {"user_id": new_name(), "user_secret": SECRET}
    answer = api.post("/web/register", data=fields, headers={"origin": ISSUER})
    assert answer.status_code == 403
    assert "Registration is closed" in answer.text


def test_below_a_path_every_address_has_it(start: Starting) -> None:
    issuer = "https://example.org/id"
    api = start(ISSUER=issuer)
    text = api.get("/login").text
    links = re.findall(r'(?:href|src|action|data-stream)="([^"#]*)"', text)
    assert links
    assert all(each.startswith("/id/") for each in links), links
    away = api.get("/account", follow_redirects=False)
    assert away.headers["location"] == "/id/login?next=%2Faccount"
