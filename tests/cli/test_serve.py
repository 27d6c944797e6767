"""`gatebook serve`: what it refuses, what it says, and commands beside it."""

from __future__ import annotations

import http.client
import json
import signal
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from app.cli.holding import holder, lock_path
from tests.cli.conftest import PATIENCE_S, SECRET, Gatebook, items, serving
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from collections.abc import Callable

    Program = Callable[..., subprocess.Popen[str]]


ANYWHERE: Final = {"ISSUER": "http://localhost"}


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def register(url: str, name: str) -> str:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    body = json.dumps({"user_id": name, "user_secret": SECRET})
    connection.request("POST", "/register", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    key: str = answer["user_key"]
    return key


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said


def test_commands_work_beside_the_service_and_after_it(
    gatebook: Gatebook, program: Program
) -> None:
    """Security rule 19: neither says the secret or the name."""
    process = program("serve", "--port", "0", **ANYWHERE)
    url, said = serving(process)
    assert [entry["event"] for entry in said] == [
        "There is no user yet. Make one, then an administrator of it."
    ]
    ada = register(url, "canary-ada")
    assert gatebook("users", "grant", "canary-ada", "admin").exit_code == 0
    bob = gatebook("users", "create", "bob", "--secret-stdin", stdin=SECRET).stdout.strip()
    cid = register(url, "canary-cid")
    expected = [ada, bob, cid]
    assert [item["user_key"] for item in items(gatebook("users", "list", "--json"))] == expected
    assert gatebook("doctor").exit_code == 0
    ending = stop(process)
    assert SECRET not in ending
    assert "canary" not in ending
    assert [item["user_key"] for item in items(gatebook("users", "list", "--json"))] == expected
    created = items(gatebook("audit", "log", "--json", "--type", "user.registered"))
    assert [item["actor"] for item in created] == ["anonymous", "cli", "anonymous"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_second_service_on_one_file_is_refused_and_told_who_holds_it(
    gatebook: Gatebook, program: Program, sqlite_url: str, tmp_path: Path
) -> None:
    """Security rule 29."""
    settings = {"DATABASE_URL": sqlite_url, "PORT": "0", **ANYWHERE}
    process = program("serve", **settings)
    serving(process)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link.db").symlink_to(path_of(sqlite_url))
    link = f"sqlite:///{tmp_path}/elsewhere/link.db"
    for url in (sqlite_url, link):
        second = gatebook("serve", **{**settings, "DATABASE_URL": url})
        assert (second.exit_code, second.stdout) == (2, "")
        assert f"process {process.pid} serves" in second.stderr
    assert holder(path_of(sqlite_url)) == str(process.pid)
    doctor = gatebook("doctor", DATABASE_URL=sqlite_url)
    assert f"process {process.pid} serves this store" in doctor.stdout
    process.kill()
    process.wait(PATIENCE_S)
    assert holder(path_of(sqlite_url)) is None
    third = program("serve", **settings)
    serving(third)
    assert stat.S_IMODE(lock_path(path_of(sqlite_url)).stat().st_mode) == 0o600
    stop(third)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_the_service_says_goes_to_stderr_alone(program: Program, sqlite_url: str) -> None:
    """It has no file open but those of its store."""
    process = program("serve", "--port", "0", DATABASE_URL=sqlite_url, **ANYWHERE)
    url, _ = serving(process)
    register(url, "ada")
    held = [Path(each).readlink() for each in Path(f"/proc/{process.pid}/fd").iterdir()]
    files = {each.name for each in held if each.is_absolute() and each.is_file()}
    store = path_of(sqlite_url).name
    assert store in files
    assert {name for name in files if not name.startswith(store)} == set()
    process.send_signal(signal.SIGTERM)
    said, told = process.communicate(timeout=PATIENCE_S)
    assert said == ""
    assert '"event":"request"' in told


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_master_key_that_was_made_is_told(program: Program, sqlite_url: str) -> None:
    process = program("serve", "--port", "0", MASTER_KEY=None, DATABASE_URL=sqlite_url, **ANYWHERE)
    _, said = serving(process)
    key = path_of(f"{sqlite_url}.key")
    assert said[0]["event"].startswith("A master key was made.")
    assert said[0]["file"] == str(key)
    assert key.read_text().strip() not in json.dumps(said) + stop(process)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_can_t_be_made_is_told(gatebook: Gatebook, sqlite_url: str) -> None:
    result = gatebook("serve", DATABASE_URL=f"{sqlite_url}/no/such/directory/gatebook.db")
    assert result.exit_code == 2
    assert "Make the directory" in result.stderr


def test_another_master_key_is_refused(gatebook: Gatebook) -> None:
    """Security rule 23."""
    gatebook("users", "create", "ada", "--secret-stdin", stdin=SECRET)
    other = "B" * 42 + "A="
    for command in ("serve", "doctor", "users list", "users grant ada admin"):
        result = gatebook(*command.split(), MASTER_KEY=other)
        assert result.exit_code == 2
        assert "GATEBOOK_MASTER_KEY" in result.output
        assert other not in result.output


def test_a_store_of_a_newer_release_is_refused(gatebook: Gatebook, database_url: str) -> None:
    gatebook("users", "create", "ada", "--secret-stdin", stdin=SECRET)
    with intrude(database_url) as intruder:
        intruder.run("UPDATE store SET format = 99")
    for command in ("serve", "doctor", "audit log"):
        result = gatebook(*command.split())
        assert result.exit_code == 2
        assert "format 99" in result.output


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_postgresql_that_isn_t_durable_is_refused(gatebook: Gatebook, postgres_url: str) -> None:
    """Security rule 23."""
    with intrude(postgres_url) as intruder:
        ((name,),) = intruder.run("SELECT current_database()")
        intruder.run(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    for command in ("serve", "doctor", "users create ada --secret-stdin"):
        result = gatebook(*command.split(), DATABASE_URL=postgres_url, stdin=SECRET)
        assert result.exit_code == 2
        assert "synchronous_commit=off" in result.output


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("password", "port"),
    [("canary-wrong", None), ("canary-wrong", "1"), ("ca%zznary@x/canary", None)],
)
def test_postgresql_that_can_t_be_reached_is_told_without_its_password(
    gatebook: Gatebook, postgres_url: str, password: str, port: str | None
) -> None:
    """Security rule 19."""
    parts = urlsplit(postgres_url)
    place = f"{parts.hostname}:{port or parts.port}{parts.path}"
    url = f"postgresql://postgres:{password}@{place}"
    for command in ("serve", "doctor", "users list", "audit log", "config show"):
        result = gatebook(*command.split(), DATABASE_URL=url)
        assert result.exit_code == (0 if command == "config show" else 6)
        assert "canary" not in result.output
        assert "nary" not in result.output


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_port_that_is_taken_is_told(gatebook: Gatebook, program: Program, tmp_path: Path) -> None:
    settings = {**ANYWHERE, "DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}
    process = program("serve", "--port", "0", **settings)
    url, _ = serving(process)
    settings["DATABASE_URL"] = f"sqlite:///{tmp_path}/b.db"
    result = gatebook("serve", "--port", str(urlsplit(url).port), **settings)
    assert result.exit_code == 2
    assert "GATEBOOK_PORT" in result.stderr
    stop(process)
