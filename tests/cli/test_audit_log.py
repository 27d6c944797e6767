"""`gatebook audit log` on each kind of store."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.audit import EventItem, Wanted
from app.cli.access import Access
from app.cli.audit import following
from app.settings import load
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from domain.stream import Meta, Origin
from tests.cli.conftest import MASTER_KEY, PATIENCE_S, Gatebook, items
from tests.postgres import PostgresServer
from tests.store.intruding import intrude
from tests.store.wishing import HASH, commit, log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ESCAPE = "evil\x1b[2Jagent\u2028\u0085end"


@pytest.fixture
def log(database_url: str) -> None:
    """Two people, one of whom sends what would steer a terminal."""
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    wish = register("ada")
    wish.meta = Meta("anonymous", "a" * 32, Origin("192.0.2.1", ESCAPE).clear())
    for answer in writer.commit([wish, register("bob"), log_in("bob", "one")]):
        assert not isinstance(answer, Exception)
    store.storage.close()


@pytest.mark.usefixtures("log")
def test_the_log_is_printed_with_the_members_of_the_contract(gatebook: Gatebook) -> None:
    printed = items(gatebook("audit", "log", "--json"))
    assert [item["position"] for item in printed] == [1, 2, 3, 4, 5, 6, 7]
    assert {tuple(item) for item in printed} == {EventItem.__struct_fields__}
    text = gatebook("audit", "log").stdout
    assert [line.split()[0] for line in text.splitlines()] == list("1234567")
    assert HASH not in text


@pytest.mark.usefixtures("log")
def test_what_others_sent_can_t_steer_the_terminal_or_break_a_line(gatebook: Gatebook) -> None:
    """Security rule 21."""
    for args in ((), ("--json",)):
        result = gatebook("audit", "log", "--user", "ada", *args)
        (line,) = result.stdout.splitlines()
        assert line.isprintable()
        assert "evil\\u001b[2Jagent\\u2028\\u0085end" in line
    (item,) = items(gatebook("audit", "log", "--user", "ada", "--json"))
    assert item["user_agent"] == ESCAPE


@pytest.mark.usefixtures("log")
def test_events_are_chosen_by_user_type_and_time(gatebook: Gatebook) -> None:
    def positions(*args: str) -> list[int]:
        return [item["position"] for item in items(gatebook("audit", "log", "--json", *args))]

    everything = items(gatebook("audit", "log", "--json"))
    assert positions("--user", "BOB") == [5, 6, 7]
    assert positions("--user", user_key("bob"), "--type", "user.logged_in") == [6]
    assert positions("--type", "user.registered") == [4, 5]
    moment = everything[4]["time"]
    assert positions("--since", moment) == [5, 6, 7]
    assert positions("--until", moment.replace("Z", "+00:00")) == [1, 2, 3, 4]
    assert positions("--until", "2026-01-01") == []
    assert positions("--since", "2026-01-01") == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (("--type", "user.loged_in"), 2, "user.logged_in"),
        (("--user", "nobody"), 3, "no user"),
        (("--since", "yesterday"), 2, "2026-11-23T17:08:32Z"),
        (("--until", "2026-11-23T17:08:32"), 2, "2026-11-23T17:08:32Z"),
        (("--sinse", "2026-11-23"), 2, "--since"),
        (("--follow", "--until", "2026-11-23"), 2, "leave out --until"),
    ],
)
def test_a_wrong_choice_is_told(
    gatebook: Gatebook, args: tuple[str, ...], code: int, why: str
) -> None:
    result = gatebook("audit", "log", "--json", *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert why in result.stderr


@pytest.mark.usefixtures("log")
def test_damage_is_told_after_what_could_be_read(gatebook: Gatebook, database_url: str) -> None:
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM user_keys WHERE user_key = ?", (user_key("bob"),))
    result = gatebook("audit", "log")
    assert (result.exit_code, len(result.stdout.splitlines())) == (1, 4)
    assert f"The key of {user_key('bob')} is missing" in result.stderr


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_reader_that_has_enough_is_no_failure(
    program: Callable[..., subprocess.Popen[str]],
) -> None:
    process = program("audit", "log", "--json")
    process.stdout.close()  # before anything is written
    process.stdout = None
    assert process.communicate(timeout=PATIENCE_S)[1] == ""
    assert process.returncode == 0


class Following:
    """The program as it follows the log, and somebody who writes that beside it."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        self._logins = 0

    def told(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(self.process.stdout.readline()) for _ in range(count)]

    def log_in(self) -> None:
        """Two events more."""
        self._logins += 1
        with writing(self.url) as writer:
            commit(writer, [log_in("bob", f"again {self._logins}")])

    def stop(self) -> str:
        """Press Ctrl-C; what it said on stderr."""
        self.process.send_signal(signal.SIGINT)
        rest, said = self.process.communicate(timeout=PATIENCE_S)
        assert (self.process.returncode, rest) == (0, "")
        return said


@contextmanager
def writing(url: str) -> Iterator[Writer]:
    store = open_store(storage_of(url), Vault(bytes(range(32))), "ES256")
    yield Writer(store.log, store.vault, store.ring, Policy())
    store.storage.close()


@pytest.fixture
def follow(
    log: None, program: Callable[..., subprocess.Popen[str]], database_url: str
) -> Callable[..., Following]:
    def start(*args: str, **settings: str) -> Following:
        process = program("audit", "log", "--follow", "--json", *args, **settings)
        return Following(process, settings.get("DATABASE_URL", database_url))

    return start


def test_following_prints_what_there_is_and_what_comes_until_ctrl_c(
    follow: Callable[..., Following], gatebook: Gatebook
) -> None:
    following = follow()
    found = following.told(7)
    for _ in range(3):
        following.log_in()
        found += following.told(2)
    assert [item["position"] for item in found] == list(range(1, 14))
    assert found == items(gatebook("audit", "log", "--json"))
    assert following.stop() == ""


def test_following_prints_only_what_is_wanted(follow: Callable[..., Following]) -> None:
    following = follow("--user", "bob", "--type", "user.logged_in")
    assert [item["position"] for item in following.told(1)] == [6]
    following.log_in()
    assert [item["position"] for item in following.told(1)] == [8]
    following.stop()


def test_following_from_a_moment_that_is_to_come_prints_nothing_before(
    follow: Callable[..., Following], database_url: str
) -> None:
    access = bring(database_url)
    with access.store.storage.snapshot() as rows:
        for since, printed in ((1, 7), (2**52, 0)):
            found = following._next(rows, access, Wanted(since=since), f"{access.store.log_id}:0")
            assert (len(found.items), found.reached) == (printed, 7)
    access.store.storage.close()


def bring(url: str) -> Access:
    given = {"GATEBOOK_DATABASE_URL": url, "GATEBOOK_MASTER_KEY": MASTER_KEY}
    store = open_store(storage_of(url), Vault(bytes(range(32))), "ES256")
    return Access(load(given).settings, store)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_following_ends_when_nobody_reads_any_more(follow: Callable[..., Following]) -> None:
    following = follow()
    following.told(7)
    following.process.stdout.close()
    following.process.stdout = None
    assert following.process.communicate(timeout=PATIENCE_S)[1] == ""
    assert following.process.returncode == 0


def test_following_outlasts_a_store_that_is_away(
    program: Callable[..., subprocess.Popen[str]], gatebook: Gatebook
) -> None:
    with PostgresServer() as server:
        url = server.create_database()
        with writing(url) as writer:
            commit(writer, [register("ada"), register("bob")])
        process = program("audit", "log", "--follow", "--json", DATABASE_URL=url)
        following = Following(process, url)
        found = following.told(5)
        server.stop("immediate")
        said = process.stderr.readline()
        assert said.startswith("The store is away (")
        assert server.password not in said
        server.start()
        following.log_in()
        found += following.told(2)
        assert [item["position"] for item in found] == list(range(1, 8))
        assert following.stop() == "The store is back.\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_following_tells_that_another_file_took_the_place_of_the_database(
    follow: Callable[..., Following], database_url: str
) -> None:
    following = follow()
    following.told(7)
    path = Path(database_url.removeprefix("sqlite:///"))
    restored = path.with_name("restored.db")
    with writing(f"sqlite:///{restored}") as writer:
        commit(writer, [register("eve")])
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    restored.replace(path)
    _, said = following.process.communicate(timeout=PATIENCE_S)
    assert following.process.returncode == 1
    assert "This place is of another log" in said
