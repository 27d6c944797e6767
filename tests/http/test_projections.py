"""/projections: how far each view is, and rebuilding one, on each kind of store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from app.bootstrap import open_vault
from app.rebuilding import rebuild_of
from app.settings import load
from app.store import Store, open_store, storage_of
from projections.live import newest, read_pointers
from projections.rebuild_state import LEASE
from projections.registry import PROJECTIONS
from tests.http.people import People, Person
from tests.http.steps import problem
from tests.running import running, settings
from tests.store.intruding import intrude
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODES = {each.name: each.mode for each in newest(PROJECTIONS)}
VERSIONS = {each.name: each.version for each in newest(PROJECTIONS)}
NAMES = list(MODES)
MEMBERS = {
    "name", "version", "mode", "state", "position", "head", "lag", "digest", "digest_position",
    "error", "rebuild",
}  # fmt: skip


@pytest.fixture(scope="module")
def operator(people: People) -> Person:
    return people.new("projections:read", "projections:write")


def projections(operator: Person) -> dict[str, dict]:
    answer = operator.get("/projections")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"items", "next"}
    assert answer.json()["next"] is None
    return {item["name"]: item for item in answer.json()["items"]}


def once(operator: Person, name: str, what: Callable[[dict], bool]) -> dict:
    """The projection as soon as it is so."""
    return until(lambda: projections(operator)[name], what)


def built(item: dict) -> bool:
    return item["rebuild"] is None


def test_each_says_how_far_it_is(people: People, operator: Person) -> None:
    people.new()
    for name in NAMES:
        once(operator, name, lambda item: item["lag"] == 0)
    found = projections(operator)
    assert list(found) == NAMES
    for item in found.values():
        assert set(item) == MEMBERS
        assert item["mode"] == MODES[item["name"]]
        assert item["version"] == VERSIONS[item["name"]]
        assert (item["state"], item["lag"]) == ("live", 0)
        assert item["position"] == item["head"] > 0
        assert (item["error"], item["rebuild"]) == (None, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_rebuilt_view_has_a_digest_and_the_service_goes_on(
    people: People, operator: Person, name: str
) -> None:
    answer = operator.post(f"/projections/{name}/rebuild", {})
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == MEMBERS
    item = once(operator, name, built)
    assert item["digest"].startswith("sha256:")
    assert item["digest_position"] <= item["position"]
    assert item["error"] is None
    again = operator.post(f"/projections/{name}/rebuild", {"accept": True})
    assert again.status_code == 202, again.text
    assert once(operator, name, built)["error"] is None
    assert people.new().get("/me").status_code == 200


def test_what_may_be_asked_is_said(people: People) -> None:
    stranger, reader = people.new(), people.new("projections:read")
    for who, method, path, needs in (
        (stranger, "GET", "/projections", "projections:read"),
        (reader, "POST", "/projections/token_lookup/rebuild", "projections:write"),
        (reader, "DELETE", "/projections/token_lookup/rebuild", "projections:write"),
    ):
        answer = who.ask(method, path, {} if method == "POST" else None)
        assert problem(answer, 403, "insufficient_permission", "permission")["permission"] == needs


def test_there_is_nothing_to_rebuild_or_cancel_of_an_unknown_name(operator: Person) -> None:
    for answer in (
        operator.post("/projections/nothing/rebuild", {}),
        operator.delete("/projections/nothing/rebuild"),
    ):
        assert "token_lookup" in problem(answer, 404, "not_found")["detail"]


def test_one_runs_at_a_time_and_can_be_cancelled(people: People, operator: Person) -> None:
    with people.store() as store:
        rebuild_of(store.storage).begin("token_lookup")
    for name in ("token_lookup", "revocations"):
        problem(operator.post(f"/projections/{name}/rebuild", {}), 409, "rebuild_running")
    item = projections(operator)["token_lookup"]
    assert item["state"] == "building"
    assert set(item["rebuild"]) == {"version", "position", "started_at", "eta_s"}
    assert operator.delete("/projections/revocations/rebuild").status_code == 204
    assert projections(operator)["token_lookup"]["state"] == "building"
    assert operator.delete("/projections/token_lookup/rebuild").status_code == 204
    assert operator.delete("/projections/token_lookup/rebuild").status_code == 204
    assert projections(operator)["token_lookup"]["state"] == "live"


def test_a_table_that_somebody_changed_is_named_and_stays_until_accepted(
    people: People, operator: Person
) -> None:
    victim = people.registered()
    with people.store() as store, store.storage.snapshot() as rows:
        table = read_pointers(rows)["user_directory"].table
    with intrude(people.settings.database_url) as intruder:
        sql = f"UPDATE {table} SET permissions = 'admin' WHERE user_key = ?"
        intruder.run(sql, (victim.user_key,))
    operator.post("/projections/user_directory/rebuild", {})
    error = once(operator, "user_directory", built)["error"]
    assert error["type"] == "rebuild.differs"
    assert victim.user_key in error["detail"]
    with people.store() as store, store.snapshot() as rows:
        sql = "SELECT permissions FROM user_directory_v1 WHERE user_key = ?"
        assert rows.fetch(sql, (victim.user_key,)) == [("admin",)]
    operator.post("/projections/user_directory/rebuild", {"accept": True})
    assert once(operator, "user_directory", built)["error"] is None
    with people.store() as store, store.snapshot() as rows:
        assert rows.fetch(sql, (victim.user_key,)) == [("",)]


def test_a_body_with_anything_else_is_refused(operator: Person) -> None:
    answer = operator.post("/projections/token_lookup/rebuild", {"force": True})
    problem(answer, 400, "invalid_request", "errors")


def test_a_rebuild_that_a_service_began_is_gone_on_with_by_another(database_url: str) -> None:
    """The first was killed."""
    given = settings(database_url)
    with running(given), _store(given) as store:
        state = rebuild_of(store.storage, served=True).begin("token_lookup")
        with store.storage.transaction() as rows:
            rows.execute("UPDATE rebuilds SET lease_until = lease_until - ?", (LEASE,))
            rows.commit()
    with running(given), _store(given) as store:
        until(lambda: _live_build(store) == state.build)


@contextmanager
def _store(given: dict[str, str]) -> Iterator[Store]:
    chosen = load(given).settings
    store = open_store(storage_of(chosen.database_url), open_vault(chosen), "ES256")
    try:
        yield store
    finally:
        store.storage.close()


def _live_build(store: Store) -> int:
    with store.storage.snapshot() as rows:
        return read_pointers(rows)["token_lookup"].build
