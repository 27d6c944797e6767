"""People at a service that runs: each with a name, a key, permissions, tokens and an address.

What only an operator can do is done in the store beside the service, as the command line does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx

from app.audit import EventItem, Wanted, events
from app.bootstrap import open_vault, open_writer
from app.caller import command_line
from app.settings import Settings, load
from app.store import Store, open_store, storage_of
from app.writer import Wish
from domain.commands import Command, GrantPermissions
from tests.http.steps import SECRET, authenticate, parts, register

T = TypeVar("T")

WAIT: Final = 30.0
"""Seconds; only ever spent when a test fails."""

_numbers = itertools.count(1)


class Person:
    """Somebody who is logged in; asks with the access token, from an address of one's own."""

    def __init__(self, people: People, name: str, user_key: str, address: str) -> None:
        self.people = people
        self.name = name
        self.user_key = user_key
        self.address = address
        self.access = ""
        self.refresh = ""

    @property
    def session_id(self) -> str:
        """Of the access token."""
        return str(parts(self.access)[1]["sid"])

    @property
    def at(self) -> str:
        """The path of this user, for administrators."""
        return f"/users/{self.user_key}"

    def again(self, secret: str = SECRET, **headers: str) -> Person:
        """The same person, logged in once more."""
        other = Person(self.people, self.name, self.user_key, self.address)
        other.log_in(secret, **headers)
        return other

    def log_in(self, secret: str = SECRET, **headers: str) -> None:
        """Begin a session."""
        given = {"X-Forwarded-For": self.address, **headers}
        tokens = authenticate(self.people.client, self.user_key, secret, headers=given)
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request with the access token; a body is sent as JSON, lone surrogates too."""
        given = {"Authorization": f"Bearer {self.access}", "X-Forwarded-For": self.address}
        content = None
        if body is not None:
            content, given["Content-Type"] = json.dumps(body).encode(), "application/json"
        return self.people.client.request(
            method, path, content=content, headers={**given, **headers}
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.ask("POST", path, body)

    def put(self, path: str, body: Any = None) -> httpx.Response:
        return self.ask("PUT", path, body)

    def delete(self, path: str) -> httpx.Response:
        return self.ask("DELETE", path)

    def refreshed(self, token: str | None = None, **more: Any) -> httpx.Response:
        """The answer to a refresh of a token, the own one if none is given."""
        headers = {"X-Forwarded-For": self.address, **more.pop("headers", {})}
        body = {"refresh_token": token or self.refresh, **more}
        return self.people.client.post("/refresh", json=body, headers=headers)

    def rotated(self, token: str | None = None, **more: Any) -> httpx.Response:
        """The answer to a rotation."""
        return self.refreshed(token, rotate=True, **more)

    def history(self) -> list[EventItem]:
        """Every event of this user, oldest first, as the store has it."""
        with self.people.store() as store:
            wanted = Wanted(self.user_key)
            return [item for page in events(store.storage, store.vault, wanted) for item in page]

    @contextmanager
    def recording(self) -> Iterator[list[EventItem]]:
        """What is recorded of this user in here, once it is over."""
        before = len(self.history())
        found: list[EventItem] = []
        yield found
        found += self.history()[before:]


class People:
    """Makes people at the service that `client` asks, whose settings are `given`."""

    def __init__(self, client: httpx.Client, given: Mapping[str, str]) -> None:
        self.client = client
        self.settings: Settings = load(given).settings

    def new(self, *permissions: str, name: str | None = None) -> Person:
        """Somebody new, with these permissions, logged in."""
        person = self.registered(name)
        if permissions:
            self.grant(person.user_key, *permissions)
        person.log_in()
        return person

    def registered(self, name: str | None = None) -> Person:
        """Somebody new who hasn't logged in yet."""
        number = next(_numbers)
        name = name or f"person{number}"
        return Person(self, name, register(self.client, name), f"10.1.{number >> 8}.{number & 255}")

    def grant(self, user_key: str, *permissions: str) -> None:
        """As `gatebook users grant`."""
        self.wish(GrantPermissions(user_key, permissions))

    def wish(self, command: Command) -> None:
        """Have a command decided, as an operator."""
        with self.store() as store:
            (answer,) = open_writer(store, self.settings).commit([Wish(command, command_line())])
        if isinstance(answer, Exception):
            raise answer

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The service's store, open beside it."""
        storage = storage_of(self.settings.database_url)
        store = open_store(storage, open_vault(self.settings), self.settings.signing_algorithm)
        try:
            yield store
        finally:
            storage.close()


def at_once(*work: Callable[[], T]) -> list[T]:
    """What each gives, all of them begun side by side."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [each.result() for each in [pool.submit(each) for each in work]]


def walk(person: Person, path: str, *, meanwhile: Callable[[], object] = lambda: None) -> list[Any]:
    """Every item of a list, page by page, along its `Link` headers."""
    items: list[Any] = []
    url = httpx.URL(path)
    while True:
        answer = person.get(str(url))
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        link = answer.links.get("next")
        assert (link is None) == (answer.json()["next"] is None)
        if link is None:
            return items
        assert link["rel"] == "next"
        url = url.join(link["url"])
        assert url.params["after"] == answer.json()["next"]
        meanwhile()


def types(items: Sequence[EventItem]) -> list[str]:
    """What each of them is."""
    return [each.type for each in items]
