"""/users: how one is shown, and how all are listed."""

from __future__ import annotations

import time

import pytest

from tests.http.administering import (
    LISTS,
    NOBODY,
    shown,
)
from tests.http.people import walk
from tests.http.steps import SECRET, me, problem, seconds

# -- Finding users ---------------------------------------------------------------------------------


def test_a_user_is_shown_as_it_is_now(people, root) -> None:
    before = time.time()
    ada = people.registered()
    first = shown(root.get(ada.at))
    assert {**first, "registered_at": "", "position": 0} == {
        "user_key": ada.user_key,
        "user_id": ada.name,
        "status": "active",
        "permissions": [],
        "registered_at": "",
        "last_login_at": None,
        "live_sessions": 0,
        "position": 0,
    }
    assert abs(seconds(first["registered_at"]) - before) < 60
    ada.log_in()
    ada.again()
    people.grant(ada.user_key, "b", "a")
    second = shown(root.get(ada.at))
    assert (second["live_sessions"], second["permissions"]) == (2, ["a", "b"])
    assert second["last_login_at"] > second["registered_at"] == first["registered_at"]
    assert second["position"] == ada.history()[-1].position > first["position"]
    assert me(people.client, ada.access).json()["registered_at"] == first["registered_at"]


@pytest.mark.parametrize(
    "name",
    ["Ada.Lovelace", "ada.lovelace", "ADA.LOVELACE", "\uff21\uff24\uff21.lovelace"],
    ids=ascii,
)
def test_a_user_is_found_by_its_name_however_it_is_spelt(people, root, name) -> None:
    """Security rule 4."""
    known = root.people.client.post(
        "/register", json={"user_id": "Ada.Lovelace", "user_secret": SECRET}
    )
    assert known.status_code in {201, 409}
    answer = root.get(f"/users?user_id={name}")
    (item,) = answer.json()["items"]
    assert (item["user_id"], answer.json()["next"]) == ("Ada.Lovelace", None)
    assert "link" not in answer.headers
    assert root.get(f"/users?limit=1&order=desc&user_id={name}").json()["items"] == [item]


@pytest.mark.parametrize(
    "name", ["ada.lovelac", "nobody", "", "%00", "null", NOBODY, "%FF", "%25", "_", "*", "a%20b"]
)
def test_a_name_that_nobody_has_finds_nobody(root, name) -> None:
    """An empty one neither finds everybody."""
    answer = root.get(f"/users?user_id={name}")
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})


def test_a_name_beyond_all_length_is_refused(root) -> None:
    """Security rule 1."""
    assert root.get(f"/users?user_id={'x' * 1024}").json()["items"] == []
    answer = root.get(f"/users?user_id={'x' * 1025}")
    (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
    assert fault["pointer"] == "/user_id"


@pytest.mark.parametrize("limit", [1, 3])
def test_pages_lead_to_every_user_in_both_orders(people, root, limit) -> None:
    added = [people.registered().user_key for _ in range(4)]
    keys = [each["user_key"] for each in root.get("/users?limit=1000").json()["items"]]
    assert keys[-4:] == added
    assert len(set(keys)) == len(keys)
    for order, expected in (("asc", keys), ("desc", keys[::-1])):
        found = walk(root, f"/users?limit={limit}&order={order}")
        assert [each["user_key"] for each in found] == expected


def test_users_who_are_added_meanwhile_come_last_and_once(people, root) -> None:
    # Two are shown for each who is added, so that more have to be there.
    for _ in range(9):
        people.registered()
    before = [each["user_key"] for each in walk(root, "/users")]
    added: list[str] = []

    def add() -> None:
        if len(added) < 7:
            added.append(people.registered().user_key)

    found = walk(root, "/users?limit=2", meanwhile=add)
    assert [each["user_key"] for each in found] == before + added
    assert len(added) == 7
    back = walk(root, "/users?order=desc&limit=2", meanwhile=people.registered)
    assert [each["user_key"] for each in back] == (before + added)[::-1]


def test_the_link_says_what_was_asked_but_for_the_place(people, root) -> None:
    people.registered()
    answer = root.get("/users?order=desc&limit=1")
    following = answer.json()["next"]
    link = answer.headers["link"]
    assert link.startswith("<?")
    assert link.endswith('>; rel="next"')
    assert set(link.removeprefix("<?").partition(">")[0].split("&")) == {
        "order=desc",
        "limit=1",
        f"after={following}",
    }


# -- Bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", LISTS)
def test_a_part_of_a_list_that_can_t_be_is_refused(root, path) -> None:
    path = path.replace("{user_key}", root.user_key)
    wrong = {
        "limit": ["0", "1001", "x", "", "-1", "null", "1.5", "99999999999999999999999"],
        "order": ["up", "ASC", "", "null"],
        "after": ["x", "null", "%00", "-1", "9" * 65],
    }
    for name, texts in wrong.items():
        for text in texts:
            answer = root.get(f"{path}?{name}={text}")
            (fault,) = problem(answer, 400, "invalid_request", "errors")["errors"]
            assert fault["pointer"] == f"/{name}", text
            assert fault["detail"].endswith(".")


@pytest.mark.parametrize("path", LISTS)
def test_the_largest_and_the_smallest_part_can_be_had(root, path) -> None:
    path = path.replace("{user_key}", root.user_key)
    assert len(root.get(f"{path}?limit=1").json()["items"]) == 1
    assert root.get(f"{path}?limit=1000").status_code == 200
    assert root.get(f"{path}?after=").json() == root.get(path).json()
