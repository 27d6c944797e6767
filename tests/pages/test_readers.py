"""Who reads what: everything that is offered is done, and the database says what it was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from app.cli import cli
from app.web.model.readers import (
    ADMINISTRATION,
    BEARER,
    COOKIE,
    KEY_RING,
    LOG,
    PLACES,
    READERS,
    Reader,
)
from projections.live import newest
from projections.registry import PROJECTIONS
from tests.docs.generate import commands
from tests.http.people import WAIT, People, Person
from tests.http.steps import SECRET
from tests.pages.asked import EVERY_STATEMENT, asked
from tests.postgres import PostgresServer
from tests.prove.described import OPERATIONS, Operation
from tests.running import running, settings

pytestmark = pytest.mark.long

NEW_SECRET = "another walnut orbit"
ELSEWHERE = {"serve", "demo", "restore", "audit import"}
"""Commands that run a service, or fill an empty store: they read what the others do."""
COMMANDS = {
    " ".join(path): command
    for path, command in commands()
    if path and not isinstance(command, click.Group) and " ".join(path) not in ELSEWHERE
}


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    with PostgresServer(settings=EVERY_STATEMENT) as server:
        yield server


def body_of(operation: Operation, person: Person) -> dict[str, Any]:
    """What is sent with it, so that it is done."""
    known: dict[str, Any] = {
        "user_key": person.user_key,
        "user_id": person.name if operation.path == "/userkey" else f"{person.name}-friend",
        "user_secret": SECRET if operation.method == "POST" else NEW_SECRET,
        "new_user_secret": NEW_SECRET,
        "refresh_token": person.refresh,
        "permissions": ["a"],
    }
    return {name: known[name] for name in operation.members if name in known}


def form_of(operation: Operation, person: Person) -> dict[str, str]:
    known = {
        "client_id": person.user_key,
        "client_secret": SECRET,
        "token": person.access,
        "grant_type": "client_credentials",
    }
    return {name: known[name] for name in operation.form if name in known}


def do(operation: Operation, person: Person, other: Person) -> tuple[int, str]:
    """The status of its answer, and its text; of a stream that doesn't end the beginning."""
    path = operation.path.format(
        user_key=other.user_key,
        session_id=person.session_id,
        name="nobody's",
        code="invalid_token",
    )
    body, form = body_of(operation, person), form_of(operation, person)
    headers = {"X-Forwarded-For": person.address}
    if operation.secured and not operation.form:
        headers["Authorization"] = f"Bearer {person.access}"
    client = person.people.client
    sent: dict[str, Any] = {"json": body} if operation.method in {"POST", "PUT"} else {}
    sent = {"data": form} if form else sent
    with client.stream(operation.method, path, headers=headers, **sent) as answer:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            text = next(answer.iter_bytes()).decode()
        else:
            text = answer.read().decode()
    return answer.status_code, text


@pytest.fixture(scope="module")
def found(
    database: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Counter[str]]:
    """What is read for each request of the API, and for each command while no service runs."""
    given = settings(database.create_database())
    with (
        running(given) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=WAIT) as client,
    ):
        people = People(client, given)
        read = dict(of_requests(people, database))
        visitor = people.new()
        with asked(database) as read[COOKIE]:
            looked = client.get("/model", headers={"Cookie": f"gatebook={visitor.refresh}"})
        assert "Log out" in looked.text
        read |= dict(of_pages(people, database))
        made = {words: people.new() for words in COMMANDS}
    folder = tmp_path_factory.mktemp("written")
    for words, person in made.items():
        with asked(database) as reads:
            run(words, person, folder, given)
        read[f"gatebook {words}"] = reads
    return read


def of_requests(people: People, database: PostgresServer) -> Iterator[tuple[str, Counter[str]]]:
    for operation in OPERATIONS:
        person, other = people.new("admin"), people.new()
        with asked(database) as reads:
            status, text = do(operation, person, other)
        expected = {404} if "{name}" in operation.path else {200, 201, 202, 204}
        assert status in expected, operation
        reads.update([KEY_RING] if has_key(text, people.client) else [])
        yield str(operation), reads


def has_key(text: str, client: httpx.Client) -> bool:
    """Whether an answer was signed with a key, or names one that is published."""
    keys = client.get("/.well-known/jwks.json").json()["keys"]
    return "eyJ" in text or any(each["kid"] in text for each in keys)


def of_pages(people: People, database: PostgresServer) -> Iterator[tuple[str, Counter[str]]]:
    person = people.new("admin")
    for page in ("GET /account", *ADMINISTRATION):
        path = page.removeprefix("GET ").format(user_key=person.user_key)
        with asked(database) as reads:
            looked = people.client.get(path, headers={"Cookie": f"gatebook={person.refresh}"})
        assert looked.status_code == 200, page
        reads.update([KEY_RING] if has_key(looked.text, people.client) else [])
        yield page, reads


def run(words: str, person: Person, folder: Path, given: dict[str, str]) -> None:
    """Run a command on a store of somebody's."""
    names = {"USER": person.user_key, "SESSION": person.session_id}
    arguments = [names.get(each, each) for each in arguments_of(words, folder)]
    said = person.refresh if words == "audit trace" else NEW_SECRET
    result = CliRunner().invoke(cli, [*words.split(), *arguments], input=f"{said}\n", env=given)
    assert result.exit_code == 0, (words, result.output)


def arguments_of(words: str, folder: Path) -> list[str]:
    known: dict[str, list[str]] = {
        "users create": ["someone", "--secret-stdin"],
        "users set-secret": ["USER", "--secret-stdin"],
        "users grant": ["USER", "a"],
        "users revoke": ["USER", "a"],
        "users erase": ["USER", "--yes"],
        "users list": [],
        "sessions end": ["SESSION"],
        "audit replay": ["USER"],
        "audit export": [str(folder / "log"), "--keys", str(folder / "keys")],
        "projections rebuild": ["--all"],
        "backup": [str(folder / "backup")],
    }
    of_users = words.startswith(("users ", "sessions "))
    return known.get(words, ["USER"] if of_users else [])


def own(found: dict[str, Counter[str]], what: str) -> set[str]:
    """What a request reads for itself, besides finding whose access token it has."""
    if what == BEARER:
        return set(found["GET /me"])
    secured = {str(each) for each in OPERATIONS if each.secured and not each.form}
    return set(found[what] - found["GET /me"]) if what in secured else set(found[what])


def asks(reader: Reader, found: dict[str, Counter[str]]) -> set[str]:
    """Every request or command that it stands for."""
    named = {BEARER, COOKIE} & set(reader.asks)
    for each in reader.asks:
        meant = {what for what in found if what == each or what.startswith(f"{each} ")}
        assert meant or each in named, f"{each}: there is no such request or command"
        named |= meant
    return named


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.label)
def test_a_reader_reads_what_the_model_says(reader: Reader, found: dict[str, Counter[str]]) -> None:
    """Commands that change something read the log too, to decide: that isn't shown."""
    read = set().union(*(own(found, each) for each in asks(reader, found)))
    elsewhere = {LOG, KEY_RING}
    assert read - elsewhere == set(reader.reads) - elsewhere
    assert {LOG} & set(reader.reads) <= read


def test_nobody_reads_a_view_whom_the_model_doesnt_name(
    found: dict[str, Counter[str]],
) -> None:
    """But for a request that finds again, to change or to show it, what its access token found."""
    named = set().union(*(asks(reader, found) for reader in READERS))
    views = {each.name for each in newest(PROJECTIONS)}
    beside = own(found, BEARER)
    for what in found.keys() - named:
        secured = what in {str(each) for each in OPERATIONS if each.secured}
        assert set(found[what]) & views <= (beside if secured else set()), what


def test_nobody_answers_with_a_key_whom_the_model_doesnt_name(
    found: dict[str, Counter[str]],
) -> None:
    """It is in an event, too, for whoever reads those."""
    shown = {what for what, reads in found.items() if KEY_RING in reads}
    of_keys = {each: asks(each, found) for each in READERS if {LOG, KEY_RING} & set(each.reads)}
    assert shown <= set().union(*of_keys.values())
    assert {"POST /authenticate", "GET /keys", "GET /readyz", "GET /admin/keys"} <= shown


def test_what_tells_where_all_stands_reads_nothing_of_it(found: dict[str, Counter[str]]) -> None:
    assert not set().union(*(own(found, each) for each in PLACES))


def test_a_command_that_shows_what_is_in_events_is_named(found: dict[str, Counter[str]]) -> None:
    of_events = {LOG, KEY_RING}
    named = set().union(*(asks(each, found) for each in READERS if of_events & set(each.reads)))
    only_reads = {f"gatebook {words}" for words, command in COMMANDS.items() if shows(command)}
    assert {what for what in only_reads if LOG in found[what]} <= named


def shows(command: click.Command) -> bool:
    """Whether it shows something that there is."""
    return "--json" in {option for each in command.params for option in each.opts}
