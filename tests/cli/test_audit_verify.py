"""`gatebook audit verify` on each kind of store, and of a file."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.cli.conftest import PATIENCE_S, Gatebook, serving
from tests.store.intruding import intrude, unseal
from tests.store.wishing import commit, log_in, register, user_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def log(database_url: str) -> None:
    """Two people, one of whom is logged in."""
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register("ada"), register("ben"), log_in("ben", "one")])
    store.storage.close()


def report(result: Result, code: int = 0) -> dict[str, Any]:
    """The one object of an answer."""
    assert result.exit_code == code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.usefixtures("log")
def test_an_honest_store_is_told_by_its_root_and_its_digests(gatebook: Gatebook) -> None:
    whole = report(gatebook("audit", "verify", "--json"))
    assert tuple(whole) == ("ok", "log_id", "head", "root", "digests", "findings", "notes")
    assert (whole["ok"], whole["head"], whole["findings"]) == (True, 7, [])
    assert all(each.startswith("sha256:") for each in whole["digests"].values())
    alone = report(gatebook("audit", "verify", "--log-only", "--json"))
    assert alone == {**whole, "digests": {}, "notes": []}
    text = gatebook("audit", "verify")
    assert whole["root"] in text.stdout
    assert f"7:{whole['root']}" in text.stderr


@pytest.mark.usefixtures("log")
def test_a_view_that_follows_may_be_behind_and_it_is_noted(gatebook: Gatebook) -> None:
    (note,) = report(gatebook("audit", "verify", "--json"))["notes"]
    assert (note["table"], note["key"]) == ("views", "daily_activity")
    assert note["detail"].startswith("It is at 0, the log at 7")
    assert "Note: views daily_activity. It is at 0" in gatebook("audit", "verify").stderr


@pytest.mark.usefixtures("log")
def test_what_is_found_is_named_and_the_exit_code_is_5(
    gatebook: Gatebook, database_url: str
) -> None:
    with intrude(database_url) as intruder:
        intruder.run("UPDATE user_directory_v1 SET permissions = 'admin'")
    found = report(gatebook("audit", "verify", "--json"), 5)
    assert not found["ok"]
    assert sorted(each["key"] for each in found["findings"]) == sorted(
        [user_key("ada"), user_key("ben")]
    )
    assert {tuple(each) for each in found["findings"]} == {("table", "key", "detail")}
    text = gatebook("audit", "verify")
    assert text.exit_code == 5
    assert f"user_directory_v1  {user_key('ada')}  Otherwise than in the log" in text.stdout
    assert gatebook("audit", "verify", "--log-only").exit_code == 0


@pytest.mark.usefixtures("log")
def test_a_noted_root_is_compared(gatebook: Gatebook, database_url: str) -> None:
    first = report(gatebook("audit", "verify", "--json"))
    noted = f"7:{first['root']}"
    assert gatebook("audit", "verify", "--expect", noted).exit_code == 0
    storage = storage_of(database_url)
    with storage.transaction() as rows:
        unseal(rows, storage.kind)
        rows.execute("DELETE FROM events WHERE position = 7")
        rows.commit()
    storage.close()
    assert gatebook("audit", "verify", "--log-only").exit_code == 0
    cut = gatebook("audit", "verify", "--log-only", "--expect", noted)
    assert cut.exit_code == 5
    assert "its end was cut off" in cut.stdout
    assert gatebook("audit", "verify", "--expect", "seven").exit_code == 2


@pytest.mark.usefixtures("log")
def test_keys_that_don_t_open_are_findings_and_another_master_key_is_a_fault_of_usage(
    gatebook: Gatebook, database_url: str
) -> None:
    other = gatebook("audit", "verify", MASTER_KEY="A" * 43 + "=")
    assert (other.exit_code, other.stdout) == (2, "")
    with intrude(database_url) as intruder:
        intruder.run("DELETE FROM ring_keys WHERE name = 'log'")
    found = report(gatebook("audit", "verify", "--json"), 5)
    assert [(each["table"], each["key"]) for each in found["findings"]] == [("ring_keys", "log")]


def test_where_there_is_no_store_nothing_is_made(gatebook: Gatebook, tmp_path: Path) -> None:
    assert gatebook("audit", "verify").exit_code == 6
    assert not list(tmp_path.glob("gatebook.db*"))


def test_a_busy_service_s_store_is_proved_beside_it(
    gatebook: Gatebook, program: Callable[..., subprocess.Popen[str]]
) -> None:
    service = program("serve", PORT="0", ISSUER="http://localhost", LOG_FORMAT="json")
    serving(service)
    assert report(gatebook("audit", "verify", "--json"))["head"] == 3
    service.terminate()
    assert service.wait(PATIENCE_S) == 0


@pytest.mark.usefixtures("log")
def test_an_export_is_proved_without_the_store(gatebook: Gatebook, tmp_path: Path) -> None:
    whole = report(gatebook("audit", "verify", "--json"))
    file = tmp_path / "log.export"
    assert gatebook("audit", "export", str(file)).exit_code == 0
    nowhere = "sqlite:////nowhere/at/all"
    prove = ("audit", "verify", "--file", str(file), "--json")
    found = gatebook(*prove, DATABASE_URL=nowhere, MASTER_KEY=None)
    assert report(found) == {**whole, "digests": {}, "notes": []}
    assert "can't be proved who wrote" in found.stderr
    file.write_bytes(file.read_bytes()[:-40])
    cut = gatebook(*prove, DATABASE_URL=nowhere, MASTER_KEY=None)
    assert [each["table"] for each in report(cut, 5)["findings"]] == ["file"]
    file.write_text("something else")
    assert gatebook("audit", "verify", "--file", str(file)).exit_code == 1
