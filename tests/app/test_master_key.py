"""The master key is set, or made once beside the database; else the service refuses to start."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys

import pytest

from app.master_key import key_path, obtain
from app.settings import Settings, SettingsError, load

KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def database(tmp_path):
    return tmp_path / "gatebook.db"


def settings(database, **environ: str) -> Settings:
    given = {"GATEBOOK_DATABASE_URL": f"sqlite:///{database}"}
    return load(given | {f"GATEBOOK_{name}": text for name, text in environ.items()}).settings


def refusal(wanted: Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        obtain(wanted)
    assert [fault.name for fault in caught.value.faults] == ["GATEBOOK_MASTER_KEY"]
    return caught.value.detail


def test_a_key_that_is_set_is_used_and_no_file_is_made(database):
    other = base64.b64encode(bytes(32)).decode()
    wanted = settings(database, MASTER_KEY=KEY, MASTER_KEY_PREVIOUS=other)
    assert obtain(wanted) == (bytes(range(32)), bytes(32))
    assert list(database.parent.iterdir()) == []


def test_a_key_is_made_once_and_kept_beside_the_database_for_its_owner_only(database):
    old = os.umask(0)
    try:
        key, previous = obtain(settings(database))
    finally:
        os.umask(old)
    assert (len(key), previous) == (32, None)
    assert obtain(settings(database)) == (key, None)
    (file,) = database.parent.iterdir()
    assert file.name == "gatebook.db.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # What the file holds can be given as the variable, to move away from the file.
    assert obtain(settings(database, MASTER_KEY=file.read_text()))[0] == key


def test_each_store_gets_a_key_of_its_own(tmp_path):
    keys = {obtain(settings(tmp_path / name))[0] for name in ("a.db", "b.db", "c.db")}
    assert len(keys) == 3


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_file_that_others_can_reach_is_refused(database, mode):
    obtain(settings(database))
    file = key_path(settings(database))
    file.chmod(mode)
    assert f"chmod 600 {file}" in refusal(settings(database))
    file.chmod(0o400)
    obtain(settings(database))


@pytest.mark.parametrize("content", [b"", b"canary", b"\xff\xfe", KEY[:-8].encode()])
def test_a_damaged_key_file_is_refused_and_left_as_it_is(database, content):
    file = key_path(settings(database))
    file.write_bytes(content)
    file.chmod(0o600)
    told = refusal(settings(database))
    assert str(file) in told
    assert "canary" not in told
    assert file.read_bytes() == content


def test_a_database_whose_key_file_is_gone_gets_no_new_key(database):
    database.write_bytes(b"SQLite format 3\0")
    assert "Restore the file" in refusal(settings(database))
    assert list(database.parent.iterdir()) == [database]


def test_an_empty_database_file_may_still_get_its_key(database):
    database.touch()
    assert len(obtain(settings(database))[0]) == 32


@pytest.mark.parametrize(
    "environ",
    [
        {"HOST": "0.0.0.0", "ISSUER": "https://auth.example.org"},
        {"DATABASE_URL": "postgresql://h/db"},
    ],
)
def test_elsewhere_a_key_must_be_set_and_the_refusal_says_how_to_make_one(database, environ):
    """Security rule 23."""
    assert "openssl rand -base64 32" in refusal(settings(database, **environ))
    assert list(database.parent.iterdir()) == []


def test_a_directory_that_cannot_be_written_is_told(tmp_path):
    assert "No such file" in refusal(settings(tmp_path / "gone" / "gatebook.db"))


def test_processes_that_start_together_settle_on_one_key(database):
    program = (
        "import sys\n"
        "from app.master_key import obtain\n"
        "from app.settings import load\n"
        "settings = load({'GATEBOOK_DATABASE_URL': 'sqlite:///' + sys.argv[1]}).settings\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(obtain(settings)[0].hex(), flush=True)\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    keys = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 6
    assert len(keys) == 1
    assert [file.name for file in database.parent.iterdir()] == ["gatebook.db.key"]
