"""What earlier releases stored is served by this one; what a later one stores is never passed over.

Each store that a release has left is copied, opened and served: whoever is in it gets in with the
secret and the permissions of then, refreshes and rotates; whoever was erased doesn't, and has no
name; the whole log is read, all that follows from it is proved. Then an event of a type that only a
newer release knows is written beside the running process. Commands on that stream are refused with
503, the following view parks before the event, readers of the log come so far and no further, and
whatever else is asked goes on. A process of the newer release takes over, and is at the head. The
controls: a process that passes over what it doesn't know, in its following views, in what it
decides and in the pages of its log. Security rule 28.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx

from app.eventstore.feed import LogFeed
from app.eventstore.log import read_newer
from app.store import open_store, storage_of
from app.vault import Vault
from app.verifying.store import verify_store
from domain.catalogue import EVENTS
from projections.registry import PROJECTIONS
from projections.runner import Follower
from tests.breaches.storing import UserRenamed
from tests.http.steps import SECRET, authenticate, me, refresh, register
from tests.prove.stored import an_empty
from tests.prove.tally import Tally
from tests.running import running, settings
from tests.stores.kept import KEPT
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from app.store import Store
    from tests.stores.kept import Kept
    from tests.stores.make import Expected, Person

PROPERTY: Final = "every kept store is served and proved; an event of a newer release parks"
OF: Final = "upgrades"
STEP: Final = max(Counter(each.kind for each in KEPT).values())
"""Each round begins with the newest: so many, that it comes to the oldest."""
SIZE: Final = max(20, STEP)
SHORT: Final = 1
STORES: Final = ("sqlite", "postgresql")
WAIT_S: Final = 30.0
FOLLOWED_S: Final = 1.0
"""Without anything more, after which a stream has told all."""
LINES, STREAM = "application/x-ndjson", "text/event-stream"
FOLLOWING: Final = tuple(each.name for each in PROJECTIONS if each.mode == "follow")

_PASSING: Final = {
    "GATEBOOK_TEST_PASS_OVER": "1",
    "GATEBOOK_TEST_FOLD_OVER": "1",
    "GATEBOOK_TEST_PAGES_OVER": "1",
}
_WELL: Final = b'{"v":1,"actor":"system","request_id":"0","data":{}}'
_INLINE: Final = "UPDATE views SET position = ? WHERE position = ? AND name NOT IN (%s)"


def prove(url: str, count: int) -> Tally:
    """Upgrade `count` stores of this kind, each release's in turn, the newest first."""
    tally = Tally()
    of_kind = [each for each in reversed(KEPT) if url.startswith(each.kind)]
    for number in range(count):
        _upgrade(of_kind[number % len(of_kind)], an_empty(url, f"{number}"), tally)
        tally.tried += 1
    return tally


def _upgrade(kept: Kept, url: str, tally: Tally) -> None:
    kept.copy_to(url)
    given = settings(url, MASTER_KEY=base64.b64encode(kept.master_key).decode())
    expected = kept.expected
    with _serving(given) as api:
        _let_in(api, expected, tally)
        admin = authenticate(
            api, expected.people["ada"].user_key, expected.people["ada"].user_secret
        )
        reader = Reader(api, admin["access_token"])
        _read(reader, expected, tally)
        with _opened(kept, url) as store:
            _check(store, expected, tally)
            person = expected.people["hal"]
            at = _parks(reader, person, store, tally)
    with _serving({**given, "GATEBOOK_TEST_NEWER": "1"}) as api, _knowing_more():
        tokens = authenticate(
            api, expected.people["ada"].user_key, expected.people["ada"].user_secret
        )
        with _opened(kept, url) as store:
            reader = Reader(api, tokens["access_token"])
            _goes_on(reader, store, person, at, tally)
            _check(store, expected, tally)
    with _serving({**given, **_PASSING}) as api, _opened(kept, url) as store:
        _is_noticed(Reader(api, tokens["access_token"]), person, store, tally)


def _is_noticed(reader: Reader, person: Person, store: Store, tally: Tally) -> None:
    """The controls: what this release has to stop at, it passes over."""
    at = _write(store, person.user_key)
    passed = _passed_over(reader, at)
    tally.control("views that pass over what they don't know", noticed=passed == [*FOLLOWING])
    decided = _answered(reader, person)
    tally.control("a command that folds over what it doesn't know", noticed=decided == 200)
    tally.control("a page that passes over what it doesn't know", noticed=_page(reader, at) == 200)


class Reader:
    """Reads what an administrator may."""

    def __init__(self, api: httpx.Client, token: str) -> None:
        self.api = api
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Ask with the access token."""
        return self.api.get(path, headers={**self._headers, **headers})

    def follow(self, path: str, kind: str) -> AbstractContextManager[httpx.Response]:
        """Read what comes as it comes; who waits for more is left soon."""
        headers = {**self._headers, "Accept": kind}
        return self.api.stream("GET", path, headers=headers, timeout=FOLLOWED_S)

    def view(self, name: str) -> dict[str, Any]:
        """A projection's status."""
        items = self.get("/projections").json()["items"]
        return next(each for each in items if each["name"] == name)


def _let_in(api: httpx.Client, expected: Expected, tally: Tally) -> None:
    for label, person in expected.people.items():
        proof = {"user_key": person.user_key, "user_secret": person.user_secret}
        named = {"user_id": person.user_id, "user_secret": person.user_secret}
        taken = api.post("/register", json={**named, "user_id": person.user_id.upper()})
        tally.expect(taken.status_code == 409, f"{label}'s name is free: {taken.text}")
        answer = api.post("/authenticate", json=proof)
        if person.status == "disabled":
            tally.expect(answer.status_code == 401, f"{label} is disabled: {answer.text}")
            continue
        tally.expect(answer.status_code == 200, f"{label} can't log in: {answer.text}")
        found = api.post("/userkey", json=named)
        tally.expect(found.json().get("user_key") == person.user_key, f"{label}: {found.text}")
        tokens = answer.json()
        seen = me(api, tokens["access_token"]).json()
        was = (person.user_id, list(person.permissions))
        tally.expect((seen.get("user_id"), seen.get("permissions")) == was, f"{label}: {seen}")
        for more in ({}, {"rotate": True}):
            again = api.post("/refresh", json={"refresh_token": tokens["refresh_token"], **more})
            tally.expect(again.status_code == 200, f"{label} can't refresh: {again.text}")
        tally.count("people of then who got in")
    _keep_out(api, expected, tally)
    register(api, "somebody-new")


def _keep_out(api: httpx.Client, expected: Expected, tally: Tally) -> None:
    """Who was erased, whoever has the name by now."""
    taken = {each.user_id for each in expected.people.values()}
    for label, person in expected.erased.items():
        answer = api.post("/authenticate", json=_proof(person))
        tally.expect(answer.status_code == 401, f"{label} was erased: {answer.text}")
        named = {"user_id": person.user_id, "user_secret": person.user_secret}
        found = api.post("/userkey", json=named)
        tally.expect(found.status_code == 401, f"{label} was erased: {found.text}")
        if person.user_id not in taken:
            free = api.post("/register", json={**named, "user_secret": SECRET})
            tally.expect(free.status_code == 201, f"{label}'s name isn't free: {free.text}")
        tally.count("erased people of then who didn't")


def _read(reader: Reader, expected: Expected, tally: Tally) -> None:
    """The whole log, and every user, by HTTP."""
    lines = reader.get("/events", Accept=LINES).text.splitlines()
    items = [json.loads(line) for line in lines]
    positions = [each["position"] for each in items]
    tally.expect(positions == [*range(1, len(items) + 1)], "the log has gaps")
    then = Counter(each["type"] for each in items[: expected.position])
    tally.expect(then == expected.topics, f"what happened then isn't what is read: {then}")
    people = {each["user_key"]: each for each in reader.get("/users?limit=1000").json()["items"]}
    for label, person in expected.people.items():
        status = people[person.user_key]["status"]
        tally.expect(status == person.status, f"{label} is {status}")
    for label, person in expected.erased.items():
        told = people[person.user_key]
        gone = (told["status"], told["user_id"])
        tally.expect(gone == ("erased", None), f"{label} is {gone}")
    if expected.formerly:
        before = reader.get(f"/events?after={expected.formerly}:1")
        changed = before.json().get("code") == "log_changed"
        tally.expect(changed, f"a place of the log before: {before.text[:100]}")
    for name in FOLLOWING:
        until(partial(reader.view, name), lambda view: view["lag"] == 0)
    tally.count("events read", len(items))


def _check(store: Store, expected: Expected, tally: Tally) -> None:
    """All that follows from the log is what it must be, as `gatebook audit verify` finds."""
    with store.storage.snapshot() as rows:
        found = verify_store(rows, store.vault, None, lambda _: None, store.storage.kind)
    tally.expect(found.ok, f"not proved: {found.findings[:3]}")
    tally.expect(found.log_id == expected.log_id, "it is another log")


def _parks(reader: Reader, person: Person, store: Store, tally: Tally) -> int:
    """Write a newer event of this person, and look at what this release does; its position."""
    answer = reader.api.post("/authenticate", json=_proof(person))
    tally.expect(answer.status_code == 200, f"before the event: {answer.text}")
    for name in FOLLOWING:
        until(partial(reader.view, name), lambda view: view["lag"] == 0)
    at = _write(store, person.user_key)
    for answered in (_answered(reader, person), _answered(reader, person)):
        tally.expect(answered == 503, f"a command on its stream: {answered}")
    for name in _passed_over(reader, at):
        tally.wrong(f"{name} passed over the newer event at {at}: {reader.view(name)}")
    status = _page(reader, at)
    tally.expect(status == 503, f"a page after it: {status}")
    own = Reader(reader.api, answer.json()["access_token"]).get("/me/events")
    tally.expect(own.status_code == 503, f"the person's own history: {own.status_code}")
    for kind in (LINES, STREAM):
        told = _told(reader, kind, at)
        tally.expect(told == [at - 1], f"of it and the one before, {kind} tells {told}")
    return at


def _answered(reader: Reader, person: Person) -> int:
    """The status of a command on the stream of a person who has a newer event."""
    return reader.api.post("/authenticate", json=_proof(person)).status_code


def _page(reader: Reader, at: int) -> int:
    """The status of the page of the log that begins with a newer event."""
    place = f"{reader.api.get('/version').json()['log_id']}:{at - 1}"
    return reader.get(f"/events?after={place}").status_code


def _told(reader: Reader, kind: str, at: int) -> list[int]:
    """Which positions a reader of the log hears of from the last one before a newer event on."""
    place = f"{reader.api.get('/version').json()['log_id']}:{at - 2}"
    path = "/events/stream" if kind == STREAM else "/events"
    told: list[int] = []
    # It breaks off at what it can't tell, or waits until it can.
    with (
        suppress(httpx.RemoteProtocolError, httpx.ReadTimeout),
        reader.follow(f"{path}?after={place}", kind) as answer,
    ):
        for line in answer.iter_lines():
            if line.startswith("{"):
                told.append(json.loads(line)["position"])
            elif line.startswith("id:"):
                told.append(int(line.rpartition(":")[2]))
            if told[-1:] > [at]:
                break
    return told


def _passed_over(reader: Reader, at: int) -> list[str]:
    """The following views that don't stop before an event, though more happens after it."""
    other = register(reader.api, f"beside-{at}", SECRET)
    refreshed = refresh(reader.api, authenticate(reader.api, other)["refresh_token"])
    assert refreshed.status_code == 200, refreshed.text
    passed = []
    for name in FOLLOWING:
        view = until(
            partial(reader.view, name),
            lambda view: view["state"] == "stalled" or view["position"] > at,
        )
        stopped = (view["state"], view["position"], (view["error"] or {}).get("position"))
        if stopped != ("stalled", at - 1, at):
            passed.append(name)
    return passed


def _write(store: Store, user_key: str) -> int:
    """As a newer release would; the position."""
    with store.log.append() as append:
        last = read_newer(append.rows, {user_key: 0})[-1]
        position = append.head.position + 1
        append.write(
            [
                last._replace(
                    position=position,
                    version=last.version + 1,
                    topic=UserRenamed.name,
                    schema=1,
                    time=append.now(),
                    clear=_WELL,
                    sealed=None,
                )
            ]
        )
        sql = _INLINE % ", ".join("?" * len(FOLLOWING))
        append.rows.execute(sql, (position, position - 1, *FOLLOWING))
        append.rows.commit()
    return position


def _goes_on(reader: Reader, store: Store, person: Person, at: int, tally: Tally) -> None:
    """The newer release: nothing was lost by the wait, once it was told to try again."""
    tried = Follower(store.storage, LogFeed(), PROJECTIONS).retry()
    tally.expect(tried == [*FOLLOWING], f"these had parked: {tried}")
    answer = reader.api.post("/authenticate", json=_proof(person))
    tally.expect(answer.status_code == 200, f"the newer release refuses: {answer.text}")
    items = reader.get("/events", Accept=LINES).text.splitlines()
    for name in FOLLOWING:
        view = until(partial(reader.view, name), lambda view: view["lag"] == 0)
        tally.expect(view["state"] == "live", f"{name} is {view['state']}")
    told = json.loads(items[at - 1])
    tally.expect(told["type"] == UserRenamed.name, f"at {at} is {told['type']}")


def _proof(person: Person) -> dict[str, str]:
    return {"user_key": person.user_key, "user_secret": person.user_secret}


@contextmanager
def _serving(given: Mapping[str, str]) -> Iterator[httpx.Client]:
    with (
        running(given) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT_S) as api,
    ):
        yield api


@contextmanager
def _opened(kept: Kept, url: str) -> Iterator[Store]:
    store = open_store(storage_of(url), Vault(kept.master_key), "ES256")
    try:
        yield store
    finally:
        store.storage.close()


@contextmanager
def _knowing_more() -> Iterator[None]:
    """This process is of the newer release too."""
    EVENTS[UserRenamed.name] = UserRenamed
    try:
        yield
    finally:
        del EVENTS[UserRenamed.name]
