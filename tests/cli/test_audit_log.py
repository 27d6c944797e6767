"""`gatebook audit log` on each kind of store."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from app.audit import EventItem
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from domain.stream import Meta, Origin
from tests.cli.conftest import PATIENCE_S, Gatebook, items
from tests.store.intruding import intrude
from tests.store.wishing import HASH, log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import Callable

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
