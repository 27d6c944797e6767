"""`gatebook backup`, `restore`, `audit export` and `audit import`, from each kind to the other."""

from __future__ import annotations

import fcntl
import signal
import stat
from typing import TYPE_CHECKING

import psycopg
import pytest

from app.cli import progress
from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.cli.conftest import MASTER_KEY, PATIENCE_S, Gatebook, items
from tests.store.living import follow
from tests.store.wishing import commit, log_in, register, user_key

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def lived(database_url: str) -> None:
    """Two people, one of whom is logged in."""
    store = open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256")
    writer = Writer(store.log, store.vault, store.ring, Policy())
    commit(writer, [register("ada"), register("ben"), log_in("ben", "one")])
    follow(store.storage)
    store.storage.close()


@pytest.fixture
def elsewhere(database_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of the other kind."""
    if database_url.startswith("sqlite"):
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/elsewhere.db"


@pytest.mark.usefixtures("lived")
def test_a_backup_needs_no_master_key_and_is_for_its_owner_alone(
    gatebook: Gatebook, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    done = gatebook("backup", str(file), MASTER_KEY=None)
    assert done.exit_code == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.key"))
    before = file.read_bytes()
    again = gatebook("backup", str(file))
    assert again.exit_code == 2
    assert "nothing is written over" in again.stderr
    assert file.read_bytes() == before
    assert b"canary-agent" not in before


@pytest.mark.usefixtures("lived")
def test_what_was_written_without_the_master_key_is_restored_by_its_noted_root_alone(
    gatebook: Gatebook, tmp_path: Path, elsewhere: str
) -> None:
    file, log, keys = (str(tmp_path / name) for name in ("backup", "log", "keys"))
    there = {"DATABASE_URL": elsewhere}
    done = gatebook("backup", file, MASTER_KEY=None)
    assert "There was no master key to seal the file with" in done.stderr
    noted = done.stderr.split()[-1]
    export = ("audit", "export", log, "--keys", keys)
    assert gatebook(*export, MASTER_KEY=None).stderr.split()[-1] == noted
    for command in (("restore", file), ("audit", "import", log, "--keys", keys, "--move")):
        refused = gatebook(*command, **there)
        assert refused.exit_code == 1
        assert "Give --expect" in refused.stderr
        other = gatebook(*command, "--expect", f"7:{'0' * 64}", **there)
        assert (other.exit_code, "the noted root" in other.stderr) == (1, True)
        assert gatebook(*command, "--expect", "7", **there).exit_code == 2
    done = gatebook("restore", file, "--expect", noted, **there)
    assert done.exit_code == 0, done.stderr
    assert gatebook("audit", "verify", "--expect", noted, **there).exit_code == 0


@pytest.mark.usefixtures("lived")
def test_a_log_is_imported_by_its_noted_root(
    gatebook: Gatebook, tmp_path: Path, elsewhere: str
) -> None:
    log, keys = str(tmp_path / "log"), str(tmp_path / "keys")
    export = ("audit", "export", log, "--keys", keys)
    noted = gatebook(*export, MASTER_KEY=None).stderr.split()[-1]
    command = ("audit", "import", log, "--keys", keys, "--move", "--expect", noted)
    done = gatebook(*command, DATABASE_URL=elsewhere)
    assert done.exit_code == 0, done.stderr


@pytest.mark.usefixtures("lived")
def test_another_master_key_seals_no_file(gatebook: Gatebook, tmp_path: Path) -> None:
    refused = gatebook("backup", str(tmp_path / "backup"), MASTER_KEY="A" * 43 + "=")
    assert refused.exit_code == 1
    assert "isn't the one given" in refused.stderr
    assert not list(tmp_path.glob("*backup*"))


@pytest.mark.usefixtures("lived")
def test_a_restored_store_is_proved_and_extends_the_root_of_its_backup(
    gatebook: Gatebook, tmp_path: Path, elsewhere: str
) -> None:
    file = tmp_path / "backup"
    noted = gatebook("backup", str(file)).stderr.split()[-1]
    done = gatebook("restore", str(file), DATABASE_URL=elsewhere)
    assert done.exit_code == 0, done.stderr
    assert noted in done.stderr
    assert "Sessions ended: 1." in done.stderr
    assert "isn't known here" in done.stderr
    for args in (("--expect", noted), ()):
        assert gatebook("audit", "verify", *args, DATABASE_URL=elsewhere).exit_code == 0
    assert items(gatebook("sessions", "list", "ben", "--json", DATABASE_URL=elsewhere)) == []
    twice = gatebook("restore", str(file), DATABASE_URL=elsewhere)
    assert twice.exit_code == 2
    assert "already" in twice.stderr


@pytest.mark.usefixtures("lived")
def test_a_restore_tells_how_far_it_is(
    gatebook: Gatebook, tmp_path: Path, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the file, and of those whose sessions end."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    gatebook("backup", str(tmp_path / "backup"))
    told = gatebook("restore", str(tmp_path / "backup"), DATABASE_URL=elsewhere).stderr
    reading, ending = (told.find(f"{what}: ") for what in ("Reading", "Ending sessions"))
    assert 0 <= reading < ending
    assert "Ending sessions: 1 of 1, " in told


@pytest.mark.usefixtures("lived")
def test_who_is_named_is_erased_again(gatebook: Gatebook, tmp_path: Path, elsewhere: str) -> None:
    file, erased = tmp_path / "backup", tmp_path / "erased"
    gatebook("backup", str(file))
    erased.write_text("ada\n")
    refused = gatebook("restore", str(file), "--erased", str(erased), DATABASE_URL=elsewhere)
    assert refused.exit_code == 2
    assert "Line 1" in refused.stderr
    erased.write_text(f"\ufeff{user_key('ada')}\n\n{user_key('nobody')}\n")
    done = gatebook("restore", str(file), "--erased", str(erased), DATABASE_URL=elsewhere)
    assert done.exit_code == 0, done.stderr
    assert "Erased again: 1. Not there, or erased before: 1." in done.stderr
    (ada, ben) = items(gatebook("users", "list", "--json", DATABASE_URL=elsewhere))
    assert (ada["status"], ada["user_id"]) == ("erased", None)
    checks = {
        each["check"]: each["level"]
        for each in items(gatebook("doctor", "--json", DATABASE_URL=elsewhere))
    }
    assert checks.get("erasures", "ok") == "ok", "no byte of the person is left to be removed"
    assert (ben["status"], ben["user_id"]) == ("active", "ben")
    assert gatebook("audit", "verify", DATABASE_URL=elsewhere).exit_code == 0


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_told_to_end_leaves_no_file(
    sig: signal.Signals,
    database_url: str,
    tmp_path: Path,
    program: Callable[..., subprocess.Popen[str]],
) -> None:
    open_store(storage_of(database_url), Vault(bytes(range(32))), "ES256").storage.close()
    files = tmp_path / "files"
    files.mkdir()
    export = ("audit", "export", str(files / "log"), "--keys", str(files / "keys"))
    for command in (("backup", str(files / "backup")), export):
        with psycopg.connect(database_url) as connection:
            connection.execute("LOCK TABLE known_networks IN ACCESS EXCLUSIVE MODE")
            started = program(*command)
            while not list(files.iterdir()):
                assert started.poll() is None, started.communicate()
            started.send_signal(sig)
            _, said = started.communicate(timeout=PATIENCE_S)
        # psycopg adds a complaint of its own when the signal comes while it makes a cursor.
        assert (started.returncode, "Aborted." in said.splitlines()) == (1, True), said
        assert list(files.iterdir()) == []


@pytest.mark.usefixtures("lived")
def test_a_backup_removes_what_a_killed_one_of_its_name_left(
    gatebook: Gatebook, tmp_path: Path
) -> None:
    left, other, held = (
        tmp_path / f".{name}" for name in ("b.0123456789abcdef", "b.other", "b.fedcba9876543210")
    )
    for each in (left, other, held):
        each.write_bytes(b"keys")
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert gatebook("backup", str(tmp_path / "b")).exit_code == 0
    assert [each.exists() for each in (left, other, held)] == [False, True, True]


@pytest.mark.usefixtures("lived")
def test_another_or_no_master_key_is_refused_and_makes_nothing(
    gatebook: Gatebook, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    gatebook("backup", str(file))
    there = {"DATABASE_URL": f"sqlite:///{tmp_path}/new/new.db"}
    (tmp_path / "new").mkdir()
    without = gatebook("restore", str(file), MASTER_KEY=None, **there)
    assert without.exit_code == 2
    assert "GATEBOOK_MASTER_KEY" in without.stderr
    other = gatebook("restore", str(file), MASTER_KEY="A" * 43 + "=", **there)
    assert other.exit_code == 2
    assert "isn't the one given" in other.stderr
    assert not list((tmp_path / "new").iterdir())
    rewrapped = {"MASTER_KEY": "A" * 43 + "=", "MASTER_KEY_PREVIOUS": MASTER_KEY}
    assert gatebook("restore", str(file), **there, **rewrapped).exit_code == 0


@pytest.mark.usefixtures("lived")
def test_an_exported_log_is_imported_by_its_keys(
    gatebook: Gatebook, tmp_path: Path, elsewhere: str
) -> None:
    log, keys = tmp_path / "log", tmp_path / "keys"
    noted = gatebook("audit", "export", str(log), "--keys", str(keys)).stderr.split()[-1]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    done = gatebook("audit", "import", str(log), "--keys", str(keys), DATABASE_URL=elsewhere)
    assert done.exit_code == 0, done.stderr
    assert noted in done.stderr
    (event,) = items(
        gatebook("audit", "log", "--type", "log.restored", "--json", DATABASE_URL=elsewhere)
    )
    assert event["data"]["at_position"] == 7
    assert event["actor"] == "cli"
    assert gatebook("audit", "verify", DATABASE_URL=elsewhere).exit_code == 0


@pytest.mark.usefixtures("lived")
def test_a_moved_log_is_the_same_log(gatebook: Gatebook, tmp_path: Path, elsewhere: str) -> None:
    log, keys = str(tmp_path / "log"), str(tmp_path / "keys")
    before = items(gatebook("audit", "verify", "--json"))
    gatebook("audit", "export", log, "--keys", keys)
    done = gatebook("audit", "import", log, "--keys", keys, "--move", DATABASE_URL=elsewhere)
    assert done.exit_code == 0, done.stderr
    assert "Never run its source again" in done.stderr
    assert items(gatebook("audit", "verify", "--json", DATABASE_URL=elsewhere)) == before
    (session,) = items(gatebook("sessions", "list", "ben", "--json", DATABASE_URL=elsewhere))
    assert session["ip"] == "203.0.113.77"


@pytest.mark.usefixtures("lived")
def test_an_export_writes_over_nothing(gatebook: Gatebook, tmp_path: Path) -> None:
    log, keys = tmp_path / "log", tmp_path / "keys"
    keys.write_text("kept")
    refused = gatebook("audit", "export", str(log), "--keys", str(keys))
    assert refused.exit_code == 2
    assert keys.read_text() == "kept"
    assert not log.exists()
    same = gatebook("audit", "export", str(log), "--keys", f"{tmp_path}/../{tmp_path.name}/log")
    assert (same.exit_code, log.exists()) == (2, False)
    assert "name two" in same.stderr
    log.write_text("kept")
    keys.unlink()
    assert gatebook("audit", "export", str(log), "--keys", str(keys)).exit_code == 2
    assert (log.read_text(), keys.exists()) == ("kept", False)
