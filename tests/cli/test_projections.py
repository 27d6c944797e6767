"""`gatebook projections` on each kind of store."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from app.rebuilding import rebuild_of
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from projections.live import newest, read_pointers
from projections.rebuild_state import LEASE, read_state
from projections.registry import PROJECTIONS
from tests.cli.conftest import Gatebook, items, serving
from tests.store.intruding import intrude, unseal
from tests.store.wishing import log_in, register, session_id, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from app.store import Store

NAMES = [each.name for each in newest(PROJECTIONS)]


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store in which something has happened."""
    opened = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    writer = Writer(opened.log, opened.vault, opened.ring, Policy())
    writer.commit([register("ada"), register("bob"), log_in("ada", "a")])
    yield opened
    opened.storage.close()


def status(gatebook: Gatebook) -> dict[str, dict]:
    return {each["name"]: each for each in items(gatebook("projections", "status", "--json"))}


@pytest.mark.usefixtures("store")
def test_status_says_how_far_each_is(gatebook: Gatebook) -> None:
    found = status(gatebook)
    assert list(found) == NAMES
    assert {each["lag"] for each in found.values() if each["mode"] == "inline"} == {0}
    assert found["daily_activity"]["lag"] == found["daily_activity"]["head"]
    lines = gatebook("projections", "status").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *NAMES]


@pytest.mark.usefixtures("store")
def test_all_are_rebuilt_and_have_a_digest(gatebook: Gatebook) -> None:
    assert gatebook("projections", "retry").exit_code == 0
    result = gatebook("projections", "rebuild", "--all")
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stderr.splitlines()] == NAMES
    found = status(gatebook)
    assert all(each["digest"] for each in found.values())
    again = gatebook("projections", "rebuild", "token_lookup", "revocations")
    assert again.exit_code == 0
    assert {name: each["digest"] for name, each in status(gatebook).items()} == {
        name: each["digest"] for name, each in found.items()
    }


@pytest.mark.usefixtures("store")
def test_what_is_to_be_rebuilt_has_to_be_said(gatebook: Gatebook) -> None:
    for args in ((), ("--all", "token_lookup")):
        assert gatebook("projections", "rebuild", *args).exit_code == 2
    unknown = gatebook("projections", "rebuild", "token_lookup", "nothing")
    assert unknown.exit_code == 3
    assert "user_directory, token_lookup" in unknown.stderr


def test_a_table_that_somebody_changed_is_named(
    gatebook: Gatebook, store: Store, database_url: str
) -> None:
    with intrude(database_url) as intruder:
        sql = "UPDATE user_directory_v1 SET permissions = 'admin' WHERE user_key = ?"
        intruder.run(sql, (user_key("bob"),))
    result = gatebook("projections", "rebuild", "user_directory")
    assert (result.exit_code, result.stdout) == (5, f"{user_key('bob')} differs in permissions\n")
    assert "--accept" in result.stderr
    assert status(gatebook)["user_directory"]["error"]["type"] == "rebuild.differs"
    assert "rebuild.differs" in gatebook("projections", "status").stderr
    accepted = gatebook("projections", "rebuild", "user_directory", "--accept")
    assert accepted.exit_code == 0
    assert f"{user_key('bob')} differs in permissions" in accepted.stderr
    with store.snapshot() as rows:
        assert rows.fetch("SELECT DISTINCT permissions FROM user_directory_v1") == [("",)]


def test_views_are_compared_with_a_fresh_fold(
    gatebook: Gatebook, store: Store, database_url: str
) -> None:
    result = gatebook("projections", "verify")
    assert result.exit_code == 0, result.stderr
    digests = dict(line.split() for line in result.stdout.splitlines())
    assert {name: each["digest"] for name, each in status(gatebook).items()} == digests
    (report,) = items(gatebook("projections", "verify", "--json"))
    (whole,) = items(gatebook("audit", "verify", "--json"))
    assert report == whole
    assert report["digests"] == digests
    assert gatebook("projections", "rebuild", "token_lookup").exit_code == 0
    again = gatebook("projections", "verify")
    assert dict(line.split() for line in again.stdout.splitlines()) == digests
    with store.storage.snapshot() as rows:
        table = read_pointers(rows)["token_lookup"].table
    with intrude(database_url) as intruder:
        intruder.run(f"UPDATE {table} SET generation = 7")
    found = gatebook("projections", "verify")
    assert found.exit_code == 5
    as_json = gatebook("projections", "verify", "--json")
    assert as_json.exit_code == 5
    (report,) = findings(as_json)
    assert not report["ok"]
    (finding,) = report["findings"]
    assert (finding["table"], finding["key"]) == ("token_lookup_v1", session_id("ada", "a"))
    assert session_id("ada", "a") in found.stdout
    assert "generation" in found.stdout


def test_a_projection_that_stopped_is_told_and_tries_again(
    gatebook: Gatebook, store: Store
) -> None:
    """Security rule 28: an event that this release can't read."""
    with store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        sql = "UPDATE events SET schema = ? WHERE topic = 'user.logged_in'"
        rows.execute(sql, (99,))
        rows.commit()
    first = gatebook("projections", "retry")
    assert first.exit_code == 1
    assert "daily_activity stopped again: user.logged_in" in first.stderr
    found = status(gatebook)["daily_activity"]
    assert found["state"] == "stalled"
    assert found["error"]["position"] == found["position"] + 1
    doctor = findings(gatebook("doctor", "--json"))
    assert ("fail", "projection") in {(each["level"], each["check"]) for each in doctor}
    with store.storage.transaction() as rows:
        rows.execute(sql, (1,))
        rows.commit()
    assert gatebook("projections", "retry").exit_code == 0
    assert status(gatebook)["daily_activity"]["lag"] == 0


def test_one_that_is_broken_off_by_hand_is_gone_on_with_at_once(
    gatebook: Gatebook, store: Store, program: Callable[..., subprocess.Popen[str]]
) -> None:
    writer = Writer(store.log, store.vault, store.ring, Policy())
    for number in range(40):
        writer.commit([log_in("ada", f"{number} {each}") for each in range(60)])
    process = program("projections", "rebuild", "token_lookup")
    begun = False
    while not begun and process.poll() is None:
        with store.storage.snapshot() as rows:
            state = read_state(rows)
        begun = state is not None and state.position > 0
    process.send_signal(signal.SIGINT)
    process.communicate()
    again = gatebook("projections", "rebuild", "token_lookup")
    assert again.exit_code == 0, again.stderr
    with store.storage.snapshot() as rows:
        assert read_state(rows) is None


def broken_off(store: Store, name: str) -> None:
    """Somebody was at it, and was killed."""
    rebuild_of(store.storage).begin(name)
    with store.storage.transaction() as rows:
        rows.execute(
            "UPDATE rebuilds SET position = 2, resumed_position = 0, "
            "resumed_at = resumed_at - ?, lease_until = lease_until - ?",
            (2 * LEASE, LEASE),
        )
        rows.commit()


def test_one_that_was_broken_off_is_gone_on_with_first(gatebook: Gatebook, store: Store) -> None:
    broken_off(store, "token_lookup")
    other = gatebook("projections", "rebuild", "revocations", "user_directory")
    assert other.exit_code == 1
    assert "token_lookup was broken off" in other.stderr
    result = gatebook("projections", "rebuild", "--all")
    assert result.exit_code == 0, result.stderr
    first, *others = [line.split()[0] for line in result.stderr.splitlines()]
    assert first == "token_lookup"
    assert sorted([first, *others]) == sorted(NAMES)
    with store.storage.snapshot() as rows:
        assert read_pointers(rows)["token_lookup"].build == 1


def test_one_that_was_broken_off_is_called_that(gatebook: Gatebook, store: Store) -> None:
    broken_off(store, "token_lookup")
    item = status(gatebook)["token_lookup"]
    assert (item["state"], item["rebuild"]["eta_s"]) == ("building", None)
    said = gatebook("projections", "status").stderr
    assert f"its rebuild was broken off at 2 of {item['head']}" in said
    with store.storage.transaction() as rows:
        rows.execute("UPDATE rebuilds SET lease_until = ?", (rows.clock() + LEASE,))
        rows.commit()
    assert status(gatebook)["token_lookup"]["rebuild"]["eta_s"] > 0
    assert "token_lookup: being rebuilt, at 2 of" in gatebook("projections", "status").stderr


@pytest.mark.parametrize("named", [(), ("token_lookup",)])
def test_one_is_given_up(gatebook: Gatebook, store: Store, named: tuple[str, ...]) -> None:
    """Whoever is at it."""
    rebuild_of(store.storage).begin("token_lookup")
    for args, code in ((("--all",), 2), (("--accept",), 2), (NAMES, 2), (("nothing",), 3)):
        assert gatebook("projections", "rebuild", "--cancel", *args).exit_code == code
    another = gatebook("projections", "rebuild", "--cancel", "revocations")
    assert (another.exit_code, another.stderr) == (0, "There is no rebuild to give up.\n")
    assert status(gatebook)["token_lookup"]["state"] == "building"
    result = gatebook("projections", "rebuild", "--cancel", *named)
    assert result.exit_code == 0
    assert "The rebuild of token_lookup was given up" in result.stderr
    assert status(gatebook)["token_lookup"]["state"] == "live"
    again = gatebook("projections", "rebuild", "--cancel", *named)
    assert (again.exit_code, again.stderr) == (0, "There is no rebuild to give up.\n")


def test_it_is_rebuilt_beside_a_service(
    gatebook: Gatebook, program: Callable[..., subprocess.Popen[str]]
) -> None:
    serving(program("serve", PORT="0", ISSUER="http://127.0.0.1", LOG_FORMAT="json"))
    result = gatebook("projections", "rebuild", "--all")
    assert result.exit_code == 0, result.stderr


def findings(result: Result) -> list[dict]:
    """Whatever the exit code."""
    return [json.loads(line) for line in result.stdout.splitlines()]
