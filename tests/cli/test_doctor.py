"""`gatebook doctor`: one line for each thing, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import examination
from tests.cli.conftest import SECRET, Gatebook, items
from tests.store.intruding import intrude

FINDINGS = ("level", "check", "detail", "action")


def create(gatebook: Gatebook, *, admin: bool = True) -> None:
    assert gatebook("users", "create", "canary-ada", "--secret-stdin", stdin=SECRET).exit_code == 0
    if admin:
        assert gatebook("users", "grant", "canary-ada", "admin").exit_code == 0


def levels(gatebook: Gatebook, **settings: str) -> dict[str, str]:
    return {
        each["check"]: each["level"] for each in items(gatebook("doctor", "--json", **settings))
    }


def test_a_store_that_is_well_is_said_to_be(gatebook: Gatebook, database_url: str) -> None:
    create(gatebook)
    found = items(gatebook("doctor", "--json"))
    assert {tuple(each) for each in found} == {FINDINGS}
    checks = [each["check"] for each in found]
    for check in ("settings", "proxies", "master key", "store", "views", "clock", "durability"):
        assert checks.count(check) == 1
    assert checks.count("last event") == examination.LAST_EVENTS
    assert {each["level"] for each in found if each["check"] != "sqlite"} == {"ok"}
    assert all(each["action"] for each in found if each["level"] != "ok")
    text = gatebook("doctor").stdout
    assert "canary" not in text
    assert [line.split()[0] for line in text.splitlines() if line[0] != " "] == [
        each["level"] for each in found
    ]


def test_warnings_say_what_to_do_and_are_no_failure(gatebook: Gatebook) -> None:
    create(gatebook, admin=False)
    assert levels(gatebook)["administrator"] == "warn"
    assert levels(gatebook, SIGNING_ALGORITHM="EdDSA")["signing key"] == "warn"
    assert levels(gatebook, ISSUER="https://auth.example.org")["proxies"] == "warn"
    assert levels(gatebook, TRUSTED_PROXIES="0.0.0.0/0")["proxies"] == "warn"
    behind = {"ISSUER": "https://auth.example.org", "TRUSTED_PROXIES": "10.0.0.0/8"}
    assert levels(gatebook, **behind)["proxies"] == "ok"
    public = {"HOST": "0.0.0.0", "ISSUER": "http://auth.example.org"}
    assert levels(gatebook, **public)["address"] == "warn"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_others_can_read_is_warned_about(gatebook: Gatebook, sqlite_url: str) -> None:
    create(gatebook)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    assert levels(gatebook)["files"] == "ok"
    path.chmod(0o644)
    assert levels(gatebook)["files"] == "warn"
    assert f"chmod 600 {path}" in gatebook("doctor").stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("version", "level"), [((1, 0, 0), "ok"), ((99, 0, 0), "warn")])
def test_a_sqlite_with_a_known_fault_is_warned_about(
    gatebook: Gatebook,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int, int],
    level: str,
) -> None:
    create(gatebook)
    monkeypatch.setattr(examination, "_SAFE_SQLITE", version)
    assert levels(gatebook)["sqlite"] == level


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_master_key_that_others_can_read_fails(gatebook: Gatebook, sqlite_url: str) -> None:
    key = Path(f"{sqlite_url.removeprefix('sqlite:///')}.key")
    stdin = SECRET
    made = gatebook("users", "create", "ada", "--secret-stdin", stdin=stdin, MASTER_KEY=None)
    assert made.exit_code == 0
    key.chmod(0o640)
    result = gatebook("doctor", MASTER_KEY=None)
    assert (result.exit_code, f"chmod 600 {key}" in result.stdout) == (2, True)
    assert key.read_text().strip() not in result.output


def test_a_view_that_is_behind_fails(gatebook: Gatebook, database_url: str) -> None:
    create(gatebook)
    with intrude(database_url) as intruder:
        intruder.run("UPDATE views SET position = 2 WHERE name = 'revocations'")
    result = gatebook("doctor")
    assert result.exit_code == 2
    line = next(line for line in result.stdout.splitlines() if line.startswith("fail"))
    assert "revocations is at 2" in line
    assert "gatebook projections rebuild" in result.stdout


def test_a_store_that_isn_t_there_fails(gatebook: Gatebook) -> None:
    for args in ((), ("--json",)):
        result = gatebook("doctor", *args)
        assert result.exit_code == 6
        assert "no store" in result.stdout


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("content", [b"no database at all\n" * 500, b""], ids=["text", "damaged"])
def test_what_is_no_store_is_a_failure_that_no_repetition_mends(
    gatebook: Gatebook, sqlite_url: str, content: bytes
) -> None:
    create(gatebook)
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    whole = path.read_bytes()
    path.write_bytes(content or whole[:4096] + bytes(len(whole) - 4096))
    for other in path.parent.glob(f"{path.name}-*"):
        other.unlink()
    answer = gatebook("doctor", "--json")
    assert answer.exit_code == 1
    last = json.loads(answer.stdout.splitlines()[-1])
    assert (last["level"], last["check"]) == ("fail", "store")
    assert "gatebook doctor" not in last["action"]
    assert last["action"]
