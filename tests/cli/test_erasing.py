"""`gatebook users erase`, and what other commands say of an erased user, on each kind of store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from projections.storage_sqlite import SqliteStorage
from tests.cli.conftest import SECRET, Gatebook, items
from tests.store.intruding import SQLITE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def create(gatebook: Gatebook, name: str = "canary-ada") -> str:
    return gatebook("users", "create", name, "--secret-stdin", stdin=SECRET).stdout.strip()


def test_a_user_is_erased_by_name_and_is_nobody_then(gatebook: Gatebook) -> None:
    ada = create(gatebook)
    result = gatebook("users", "erase", "Canary-Ada")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{ada} is erased. Sessions ended: 0.\n"
    (shown,) = items(gatebook("users", "show", ada, "--json"))
    assert (shown["user_id"], shown["status"]) == (None, "erased")
    assert gatebook("users", "show", "canary-ada").exit_code == 3
    assert "canary" not in gatebook("users", "list").stdout
    assert create(gatebook) not in {ada, ""}


def test_erasing_again_changes_nothing(gatebook: Gatebook) -> None:
    ada = create(gatebook)
    assert gatebook("users", "erase", ada, "--yes").exit_code == 0
    result = gatebook("users", "erase", ada)
    assert (result.exit_code, result.stderr) == (0, f"Nothing to change. {ada} is erased.\n")
    types = [each["type"] for each in items(gatebook("audit", "log", "--user", ada, "--json"))]
    assert types == ["user.registered", "user.erased"]
    assert gatebook("users", "erase", "canary-ada").exit_code == 3


def test_the_log_still_tells_what_an_erased_user_did(gatebook: Gatebook) -> None:
    ada = create(gatebook)
    gatebook("users", "grant", ada, "users:read")
    gatebook("users", "erase", ada)
    found = items(gatebook("audit", "log", "--user", ada, "--json"))
    assert [(each["type"], each["erased"], each["actor"]) for each in found] == [
        ("user.registered", True, "cli"),
        ("user.permissions_set", True, "cli"),
        ("user.erased", True, "cli"),
    ]
    assert found[0]["data"] == {"user_id": None}
    lines = gatebook("audit", "log", "--user", ada).stdout.splitlines()
    assert all(line.endswith("(erased)") for line in lines)


def test_an_operator_erases_the_last_administrator(gatebook: Gatebook) -> None:
    ada = create(gatebook)
    gatebook("users", "grant", ada, "admin")
    assert gatebook("users", "erase", ada).exit_code == 0
    (warned,) = (
        each
        for each in items(gatebook("doctor", "--json"))
        if each["check"] in {"administrator", "administrators"}
    )
    assert warned["level"] == "warn"


@pytest.mark.parametrize(("answer", "code", "status"), [("n\n", 1, "active"), ("y\n", 0, "erased")])
def test_on_a_terminal_it_is_asked_first(
    gatebook: Gatebook, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, status: str
) -> None:
    ada = create(gatebook)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = gatebook("users", "erase", "canary-ada", stdin=answer)
    assert (result.exit_code, result.stdout.replace(answer.strip(), "").strip()) == (code, "")
    assert f"Erase canary-ada ({ada}), for good?" in result.stderr
    assert items(gatebook("users", "show", ada, "--json"))[0]["status"] == status


def test_with_yes_nobody_is_asked(gatebook: Gatebook, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = create(gatebook)
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    result = gatebook("users", "erase", ada, "--yes")
    assert (result.exit_code, "for good?" in result.stderr) == (0, False)


@ON_SQLITE
def test_it_waits_for_a_read_and_says_so(
    gatebook: Gatebook, program: Callable[..., subprocess.Popen[str]], database_url: str
) -> None:
    """The doctor shows it meanwhile; and broken off it is finished by the next who comes."""
    ada = create(gatebook)
    bob = create(gatebook, "bob")
    reading = SqliteStorage(Path(database_url.removeprefix(SQLITE)))
    with reading.snapshot() as rows:
        assert rows.fetch("SELECT count(*) FROM events")
        waiting = program("users", "erase", ada, "--yes")
        said = waiting.stderr.readline()
        assert said == "Erased, but a read holds bytes in a file. Waiting for it: 0 s\n"
        (finding,) = (
            each for each in items(gatebook("doctor", "--json")) if each["check"] == "erasures"
        )
        assert finding["level"] == "warn"
        assert "unfinished: 1" in finding["detail"]
        assert ada in finding["action"]
        broken_off = program("users", "erase", bob, "--yes")
        assert broken_off.stderr.readline() == said
        broken_off.kill()
    assert waiting.wait(60) == 0
    assert f"{ada} is erased." in waiting.stderr.read()
    result = gatebook("users", "erase", bob)
    assert (result.exit_code, result.stderr) == (0, f"Nothing to change. {bob} is erased.\n")
    (finding,) = (
        each for each in items(gatebook("doctor", "--json")) if each["check"] == "erasures"
    )
    assert (finding["level"], finding["detail"]) == ("ok", "all finished")
    reading.close()
