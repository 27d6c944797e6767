"""GET /me/events: what happened to oneself, newest first."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.http.people import People, Person, walk
from tests.http.steps import SECRET, TIME, problem

MEMBERS = {
    "position",
    "stream",
    "version",
    "time",
    "type",
    "schema",
    "user_key",
    "actor",
    "request_id",
    "ip",
    "user_agent",
    "erased",
    "data",
}


@pytest.fixture
def ada(people: People) -> Person:
    ada = people.new()
    for _ in range(3):
        ada.log_in()
    return ada


def place(people: People, position: int, log_id: str | None = None) -> str:
    return f"{log_id or people.client.get('/version').json()['log_id']}:{position}"


def page(person: Person, query: str = "") -> dict:
    answer = person.get(f"/me/events{query}")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"items", "next"}
    return answer.json()


def test_the_own_history_is_told_newest_first(ada) -> None:
    items = page(ada)["items"]
    assert [each["type"] for each in items] == [
        *["refresh_token.issued", "user.logged_in"] * 4,
        "user.registered",
    ]
    assert [each["version"] for each in items] == list(range(9, 0, -1))
    positions = [each["position"] for each in items]
    assert positions == sorted(positions, reverse=True)
    for each in items:
        assert set(each) == MEMBERS
        assert each["stream"] == each["user_key"] == ada.user_key
        assert TIME.fullmatch(each["time"])
        assert re.fullmatch("[0-9a-f]{32}", each["request_id"])
        assert (each["schema"], each["erased"]) == (1, False)


def test_an_event_says_who_and_from_where(ada) -> None:
    ada.log_in(**{"User-Agent": "a phone", "X-Forwarded-For": "192.0.2.7"})
    _, login, *_, registered = page(ada)["items"]
    assert login["actor"] == f"user:{ada.user_key}"
    assert (login["ip"], login["user_agent"]) == ("192.0.2.7", "a phone")
    assert login["data"] == {"session_id": ada.session_id, "by": "secret"}
    assert registered["actor"] == "anonymous"
    assert registered["ip"] == "127.0.0.1"
    assert registered["data"] == {"user_id": ada.name}


def test_no_hash_and_no_secret_is_shown(ada) -> None:
    """Security rule 19."""
    ada.post("/me/secret", {"user_secret": SECRET, "new_user_secret": "seven ropes, all quiet"})
    answer = ada.get("/me/events")
    assert answer.json()["items"][0]["data"]["why"] == "secret_changed"
    for private in ("argon2", "hash", SECRET, "seven ropes", "gbr_"):
        assert private not in answer.text


def test_where_other_people_acted_from_is_not_told(people, ada) -> None:
    root = people.new("admin")
    root.post(f"{ada.at}/disable")
    root.post(f"{ada.at}/enable")
    people.grant(ada.user_key, "orders:read")
    ada.log_in()
    items = page(ada)["items"]
    of_root = [each for each in items if each["actor"] == f"user:{root.user_key}"]
    assert {each["type"] for each in of_root} == {
        "user.disabled",
        "user.enabled",
        "refresh_token.revoked",
    }
    for each in of_root:
        assert (each["ip"], each["user_agent"]) == (None, None)
    assert root.address not in ada.get("/me/events").text
    (granted,) = [each for each in items if each["type"] == "user.permissions_set"]
    assert (granted["actor"], granted["ip"]) == ("cli", None)
    assert items[0]["ip"] == ada.address


def test_nobody_else_s_events_are_among_them(people, ada) -> None:
    eve = people.new()
    assert {each["user_key"] for each in page(eve)["items"]} == {eve.user_key}
    assert eve.user_key not in ada.get("/me/events").text


@pytest.mark.parametrize("limit", [1, 2, 9, 10])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_lead_to_every_event(ada, limit, order) -> None:
    whole = page(ada, "?limit=1000")["items"]
    found = walk(ada, f"/me/events?limit={limit}&order={order}")
    assert found == (whole if order == "desc" else whole[::-1])


def test_what_happens_meanwhile_doesn_t_disturb_a_walk(ada) -> None:
    before = page(ada)["items"]
    back = walk(ada, "/me/events?limit=2", meanwhile=ada.log_in)
    assert back == before
    forth = walk(ada, "/me/events?limit=7&order=asc", meanwhile=ada.again)
    assert [each["version"] for each in forth] == list(range(1, len(forth) + 1))
    assert len(forth) > len(before)


def test_the_next_place_names_the_log(people, ada) -> None:
    first = page(ada, "?limit=3")
    assert first["next"] == place(people, first["items"][-1]["position"])
    assert page(ada, f"?after={place(people, 0)}") == {"items": [], "next": None}
    head = page(ada)["items"][0]["position"]
    assert page(ada, f"?order=asc&after={place(people, head)}") == {"items": [], "next": None}


def test_a_place_that_this_log_doesn_t_have_is_a_conflict(people, ada) -> None:
    head = page(ada)["items"][0]["position"]
    for each in (place(people, 1, "0" * 22), place(people, head + 1), place(people, 10**17)):
        for order in ("asc", "desc"):
            answer = ada.get(f"/me/events?after={each}&order={order}")
            problem(answer, 409, "log_changed")


@pytest.mark.parametrize(
    "after",
    ["5", "null", ":5", "x:5", "{log_id}", "{log_id}:", "{log_id}:-1", "{log_id}:5:5", "%00"],
)
def test_what_is_no_place_is_refused(people, ada, after) -> None:
    """A bare position says nothing of its log."""
    log_id = people.client.get("/version").json()["log_id"]
    answer = ada.get(f"/me/events?after={after.replace('{log_id}', log_id)}")
    (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
    assert fault["pointer"] == "/after"


def test_it_is_for_the_holder_of_an_access_token(ada) -> None:
    """Security rule 14."""
    client: httpx.Client = ada.people.client
    problem(client.get("/me/events"), 401, "invalid_token")
    given = {"Authorization": f"Bearer {ada.refresh}"}
    problem(client.get("/me/events", headers=given), 401, "invalid_token")


def test_wrong_secrets_are_counted_in_the_history_by_each_way_in(start) -> None:
    """However many minutes they fall into; what is left is recorded when the service stops."""
    ada = start.people().new()
    client, wrong = ada.people.client, "a loud rope of seven"
    with ada.recording() as recorded:
        for path, who in (
            ("/authenticate", {"user_key": ada.user_key}),
            ("/userkey", {"user_id": ada.name}),
        ):
            answer = client.post(path, json={**who, "user_secret": wrong})
            problem(answer, 401, "invalid_credentials")
        form = {
            "grant_type": "client_credentials",
            "client_id": ada.user_key,
            "client_secret": wrong,
        }
        assert client.post("/oauth/token", data=form).status_code == 401
        start.stop()
    assert {each.type for each in recorded} == {"user.login_failed"}
    assert sum(int(str(each.data["count"])) for each in recorded) == 3
