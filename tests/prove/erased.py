"""People are erased, and then every byte is searched for what they were.

They register, log in, fail to, refresh, rotate and change their secrets, each from an address and
by a program of their own, while others stay. Then they erase themselves, or an administrator does,
some beside requests of their own. Neither their names, addresses, programs or hashes nor their
keys, wrapped or bare, may be in any file of SQLite, any dump of PostgreSQL, any log line or any
answer; and no table has a row that is theirs, but the log and the views, which are its fold. Those
who stayed are as they were. Security rules 16, 19 and 20.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.buckets_postgres import row_name
from app.erasing import finish, unfinished
from app.eventstore.snapshot import EVERY
from app.known_networks import NETWORKS_OF
from app.store import open_store, storage_of
from app.throttle import account_claims
from app.vault import Vault, name_mac
from app.writer import Wish, Writer
from domain.commands import EraseUser
from domain.policy import Policy
from domain.user_id import prepare
from projections.storage_sqlite import SqliteStorage
from tests.postgres import dumped
from tests.prove import rows_left
from tests.prove.client import Client
from tests.prove.load import SECRET, Begun, Refused
from tests.prove.stored import check_log, grant, opened
from tests.prove.tally import Tally
from tests.running import MASTER, running_all, settings
from tests.store.intruding import SQLITE, dump
from tests.store.traces import found_in, found_of, traces_of
from tests.store.wishing import commit, meta, register, user_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from app.store import Store
    from tests.prove.client import Answer

PROPERTY: Final = "no byte of an erased person is in a file, a dump, a log line or an answer"
SIZE: Final = 1_000
OF: Final = "people"
STEP: Final = 250
SHORT: Final = 20
STORES: Final = ("sqlite", "postgresql")
ACTORS: Final = 4
STAYING: Final = 5
"""One stays beside so many who go."""
CHANGING: Final = 4
"""One of so many changes the secret."""
RACING: Final = 3
"""One of so many is erased while it logs in and rotates."""
BUSY: Final = 20
"""One of so many does as much as a snapshot takes."""
FINISHED_WITHIN_S: Final = 20.0

_DOCUMENTED: Final = bytes.fromhex("20010db8")
"""What addresses of examples begin with (RFC 3849)."""
_ROOT: Final = Path(__file__).parent.parent.parent


class Person:
    """Somebody with a name, an address and a program that nobody else has."""

    def __init__(self) -> None:
        self.name = f"Person-{secrets.token_hex(6)}@Example.org"
        self.address = str(IPv6Address(_DOCUMENTED + secrets.token_bytes(12)))
        self.program = f"program-{secrets.token_hex(8)}/1"
        self.secret = SECRET
        self.user_key = ""
        self.begun: Begun | None = None
        self.traces: dict[str, bytes] = {}
        """Nothing of this may be anywhere."""
        self.hashes: dict[str, bytes] = {}
        """Nor of these, but that SQLite may leave one in an unused place of an index's page."""

    async def ask(self, client: Client, method: str, path: str, **members: object) -> Answer:
        """One request, by this program from this address, with the access token if there is one."""
        headers = {"X-Forwarded-For": self.address, "User-Agent": self.program}
        if self.begun is not None:
            headers["Authorization"] = f"Bearer {self.begun.access_token}"
        body = json.dumps(members).encode() if members else None
        return await client.send(method, path, body, headers)

    async def log_in(self, client: Client, secret: str = "") -> Answer:
        """Begin a session."""
        proof = {"user_key": self.user_key, "user_secret": secret or self.secret}
        return await self.ask(client, "POST", "/authenticate", **proof)

    async def live(self, client: Client, *, changing: bool, busy: bool = False) -> None:
        """Leave something of oneself wherever one can."""
        named = {"user_id": self.name, "user_secret": self.secret}
        self.user_key = _right(await self.ask(client, "POST", "/register", **named))["user_key"]
        await self.log_in(client, "not the secret")
        self.begun = Begun(**_right(await self.log_in(client)))
        if changing:
            new = {"user_secret": self.secret, "new_user_secret": f"{SECRET} {self.name[:19]}"}
            _right(await self.ask(client, "POST", "/me/secret", **new))
            self.secret = new["new_user_secret"]
        again = Begun(**_right(await self.log_in(client)))
        newest = again.refresh_token
        for rotate in (False, *[True] * (EVERY if busy else 1)):
            token = {"refresh_token": newest, "rotate": rotate}
            told = _right(await self.ask(client, "POST", "/refresh", **token))
            newest = told.get("refresh_token", newest)
        _right(await self.ask(client, "POST", "/userkey", **{**named, "user_secret": self.secret}))

    def note(self, traces: dict[str, bytes], hashes: dict[str, bytes]) -> None:
        """What the store knows that nobody may find."""
        self.hashes = hashes
        self.traces = {
            "name": self.name.encode(),
            "prepared name": prepare(self.name).encode(),
            "address": self.address.encode(),
            "program": self.program.encode(),
            **traces,
        }


def _right(answer: Answer) -> dict[str, str]:
    if answer.status >= 300:
        raise Refused(f"{answer.status} {answer.body!r}")
    return answer.json if answer.body else {}


def prove(url: str, count: int) -> Tally:
    """Erase `count` people of one store, some of whom a read holds up."""
    tally = Tally()
    going = [Person() for _ in range(count)]
    staying = [Person() for _ in range(count // STAYING + 1)]
    # The console's form of log lines is searched too.
    formats = ("json",) if url.startswith(SQLITE) else ("json", "console")
    given = [settings(url, LOG_FORMAT=each, TRUSTED_PROXIES="127.0.0.0/8") for each in formats]
    with running_all(*given) as servers:
        ports = [server.port for server in servers]
        admin = asyncio.run(_live(url, ports, [*going, *staying]))
        on_sqlite = url.startswith(SQLITE)
        asyncio.run(_erase(ports, admin, going[: -1 if on_sqlite else None], tally))
        held = _beside_a_read(url, ports[0], going[-1], tally) if on_sqlite else b""
        _await_finished(url, tally)
        answers = asyncio.run(_ask_around(ports, admin, going, staying, tally))
        answers += _commands(given[0])
        at_rest = _everything(url)
        rows_left.expect_none(
            url, {each.user_key for each in going}, {each.user_key for each in staying}, tally
        )
        for server in servers:
            tally.expect(server.stop() == 0, "a server did not stop in order")
        outputs = {
            "the store": at_rest,
            "the store afterwards": _everything(url),
            "an answer": answers,
            "a log line": b"".join(server.said for server in servers),
        }
    for where, content in outputs.items():
        _expect_nothing(where, content, going, tally)
        tally.count("bytes searched", len(content))
    keys = {"wrapped key 0"}
    kept = all(keys <= found for found in found_of(at_rest, [each.traces for each in staying]))
    tally.control("the keys of those who stayed", noticed=kept)
    if held:
        tally.control("a key beside an open read", noticed=bool(found_in(held, going[-1].traces)))
        tally.control("a key without secure_delete", noticed=_is_left_without_secure_delete())
        _count_hashes(at_rest, going, tally)
    else:
        for hashes in found_of(at_rest, [person.hashes for person in going]):
            left = ", ".join(sorted(hashes))
            tally.expect(not hashes, f"the store holds hashes of who was erased: {left}")
        kept = all(found_of(at_rest, [person.hashes for person in staying]))
        tally.control("the hashes of those who stayed", noticed=kept)
    check_log(url, tally)
    tally.tried = count
    return tally


async def _live(url: str, ports: Sequence[int], everybody: Sequence[Person]) -> Person:
    """Let them all leave what they leave, and note it; an administrator."""
    admin = Person()
    async with Client(ports[0]) as client:
        await admin.live(client, changing=False)
        await asyncio.to_thread(grant, url, admin.user_key, "admin")
        admin.begun = Begun(**_right(await admin.log_in(client)))

    async def live(number: int, person: Person, clients: Sequence[Client]) -> None:
        await person.live(clients[0], changing=number % CHANGING == 0, busy=number % BUSY == 0)

    await _all(everybody, ports, live)
    await asyncio.to_thread(_note, url, everybody)
    return admin


async def _erase(
    ports: Sequence[int], admin: Person, going: Sequence[Person], tally: Tally
) -> None:
    async def go(number: int, person: Person, clients: Sequence[Client]) -> None:
        await _go(person, admin, clients, number, tally)

    await _all(going, ports, go)


async def _all(
    people: Iterable[Person],
    ports: Sequence[int],
    do: Callable[[int, Person, Sequence[Client]], Awaitable[None]],
) -> None:
    """Do it with each of them, a few at a time, each asking every process in turn."""
    numbered = enumerate(people)

    async def act() -> None:
        for number, person in numbered:
            turned = [ports[(number + each) % len(ports)] for each in range(3)]
            clients = [Client(port) for port in turned]
            await do(number, person, clients)
            for client in clients:
                await client.close()

    await asyncio.gather(*(act() for _ in range(ACTORS)))


def _note(url: str, people: Iterable[Person]) -> None:
    with opened(url) as store:
        for person in people:
            person.note(traces_of(store, person.user_key), _hashes_of(store, person))


def _hashes_of(store: Store, person: Person) -> dict[str, bytes]:
    """By what the store finds a person's name, networks and budgets."""
    with store.storage.snapshot() as rows:
        networks = [
            mac for (mac,) in rows.fetch(NETWORKS_OF, (person.user_key,)) if isinstance(mac, bytes)
        ]
    found = {"name": name_mac(store.ring, prepare(person.name))}
    claims = account_claims(person.user_key, [each.hex() for each in networks])
    for number, claim in enumerate(claims):
        found[f"budget {number}"] = row_name(store.ring.network, claim)
    return found | {f"network {number}": mac for number, mac in enumerate(networks)}


async def _go(
    person: Person, admin: Person, clients: Sequence[Client], number: int, tally: Tally
) -> None:
    """Be erased, some while they log in and rotate; from then on nobody knows them."""
    here, there, elsewhere = clients
    begun = person.begun
    assert begun is not None
    if number % 2:
        going = person.ask(here, "POST", "/me/erase", user_secret=person.secret)
    else:
        going = admin.ask(here, "DELETE", f"/users/{person.user_key}")
    beside: list[Awaitable[Answer]] = []
    if number % RACING == 0:
        rotated = {"refresh_token": begun.refresh_token, "rotate": True}
        beside = [person.log_in(there), person.ask(elsewhere, "POST", "/refresh", **rotated)]
    gone, *others = await asyncio.gather(going, *beside)
    tally.expect(gone.status in {202, 204}, f"an erasure: {gone.status} {gone.body!r}")
    tally.count(f"erasures answered {gone.status}")
    for each in others:
        tally.expect(each.status in {200, 401}, f"beside an erasure: {each.status} {each.body!r}")
    shown = await person.ask(there, "GET", "/me")
    tally.expect(shown.status == 401, f"/me of who was erased: {shown.status}")
    for each in others:
        if each.status == 200:
            token = each.json.get("refresh_token", "")
            late = await person.ask(elsewhere, "POST", "/refresh", refresh_token=token)
            tally.expect(late.status == 401, f"a token survived: {late.status} {late.body!r}")
    known, unknown = await person.log_in(there), Person()
    unknown.user_key = user_key(person.name)
    nobody = await unknown.log_in(elsewhere)
    same = [{**each.json, "request_id": ""} for each in (known, nobody)]
    tally.expect(same[0] == same[1], f"told from an unknown one: {same}")


async def _ask_around(
    ports: Sequence[int],
    admin: Person,
    gone: Sequence[Person],
    staying: Sequence[Person],
    tally: Tally,
) -> bytes:
    """What is said of each of them, by some process, and of all of them by every process."""
    answers: list[bytes] = []
    for number, port in enumerate(ports):
        async with Client(port) as client:
            for person in gone[number :: len(ports)]:
                shown = await admin.ask(client, "GET", f"/users/{person.user_key}")
                found = shown.json.get("user_id", ""), shown.json.get("status")
                tally.expect(found == (None, "erased"), f"who was erased is {shown.body!r}")
                sessions = await admin.ask(client, "GET", f"/users/{person.user_key}/sessions")
                tally.expect(sessions.json["items"] == [], f"has sessions: {sessions.body!r}")
                named = await admin.ask(client, "GET", f"/users?user_id={person.name}")
                tally.expect(named.json["items"] == [], f"is found: {named.body!r}")
                again = await admin.ask(client, "DELETE", f"/users/{person.user_key}")
                tally.expect(again.status in {202, 204}, f"erased again: {again.status}")
                answers += [shown.body, sessions.body, named.body, again.body]
            for path in ("/users?limit=1000", "/revocations?limit=1000", "/metrics"):
                answers.append((await admin.ask(client, "GET", path)).body)
            for person in staying:
                mine = await person.ask(client, "GET", "/me/events?limit=1000")
                tally.expect(mine.status == 200, f"who stayed: {mine.status} {mine.body!r}")
                tally.expect(_right(await person.log_in(client)) != {}, "who stayed is out")
                answers.append(mine.body)
    return b"\n".join(answers)


def _commands(given: dict[str, str]) -> bytes:
    """What the command line says of everybody."""
    said = b""
    for command in (["users", "list"], ["audit", "log"], ["audit", "log", "--json"], ["doctor"]):
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *command],
            env={**os.environ, **given},
            cwd=_ROOT,
            capture_output=True,
            check=True,
        )
        said += done.stdout + done.stderr
    return said


def _beside_a_read(url: str, port: int, person: Person, tally: Tally) -> bytes:
    """Erase somebody while a read goes on: it isn't finished, and says so; the store meanwhile."""

    async def go() -> Answer:
        async with Client(port) as client:
            return await person.ask(client, "POST", "/me/erase", user_secret=person.secret)

    with opened(url) as store:
        with store.storage.snapshot() as rows:
            _ = rows.fetch("SELECT count(*) FROM events")
            answer = asyncio.run(go())
            right = (answer.status, answer.body) == (202, b"{}")
            tally.expect(right, f"beside a read: {answer.status} {answer.body!r}")
            held = dump(url)
        tally.expect(person.user_key in held.decode("latin-1"), "the store is empty")
    return held


def _await_finished(url: str, tally: Tally) -> None:
    """The service finishes whatever isn't, by itself."""
    until = time.monotonic() + FINISHED_WITHIN_S
    with opened(url) as store:
        while (left := unfinished(store.storage)) and time.monotonic() < until:
            time.sleep(0.1)
    tally.expect(not left, f"unfinished: {len(left)}")


def _everything(url: str) -> bytes:
    """Every file beside the database, or every table; and what PostgreSQL dumps itself."""
    if url.startswith(SQLITE):
        folder = Path(url.removeprefix(SQLITE)).parent
        return b"\n".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())
    return dump(url) + dumped(url)


def _expect_nothing(where: str, content: bytes, gone: Iterable[Person], tally: Tally) -> None:
    tally.expect(len(content) > 0, f"{where} is empty")
    for found in found_of(content, [person.traces for person in gone]):
        tally.expect(not found, f"{where} holds of who was erased: {', '.join(sorted(found))}")


def _is_left_without_secure_delete() -> bool:
    with tempfile.TemporaryDirectory() as directory:
        url = f"{SQLITE}{directory}/gatebook.db"
        store = open_store(storage_of(url), Vault(MASTER), "ES256")
        assert isinstance(store.storage, SqliteStorage)
        store.storage._writing().execute("PRAGMA secure_delete=OFF")
        writer = Writer(store.log, store.vault, store.ring, Policy())
        commit(writer, [register("ada"), register("bob")])
        traces = traces_of(store, user_key("ada"))
        commit(writer, [Wish(EraseUser(user_key("ada")), meta())])
        left = finish(store.storage)
        content = dump(url)
        store.storage.close()
    return not left and bool(found_in(content, traces))


def _count_hashes(content: bytes, gone: Sequence[Person], tally: Tally) -> None:
    """SQLite may leave one in an unused place of an index's page: no name, and no key opens it."""
    left = sum(map(len, found_of(content, [person.hashes for person in gone])))
    tally.count("keyed hashes in unused places of a page", left)
