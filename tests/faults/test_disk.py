"""Disks that fail, fill up and forget what they weren't told to keep.

First that the tests' own disk does what it says; then each long proof of `tests.prove` that is
about it, in its short form. Without a C compiler there is no such disk.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.holding import holds
from tests.oauth_clients.on_node import lack
from tests.prove import full_disk, io_errors, power_cut, read_only, slow_disk
from tests.prove.disk import A_MILLION, CUTS, FOR_EVER, SECTOR, Disk, Unbuilt, library
from tests.prove.sources import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PROGRAM = """
import os, sys
os.chdir(sys.argv[1])
here = os.getcwd()
opened = os.open(here + "/file", os.O_RDWR | os.O_CREAT)
names = os.open(here, os.O_RDONLY)
def tried(did, *given):
    try:
        return did(*given)
    except OSError as error:
        return -error.errno
"""


@pytest.fixture(autouse=True)
def built() -> None:
    try:
        library()
    except Unbuilt as error:
        lack("Disks that fail were", str(error))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "on").mkdir()
    (tmp_path / "left").mkdir()
    with Disk(tmp_path / "on") as made:
        yield made


_OPENED = """
import os, sys, threading
from pathlib import Path
from projections.storage import Lost
from projections.storage_sqlite import SqliteStorage
storage = SqliteStorage(Path(sys.argv[1]) / "gatebook.db")
storage.prepare()
"""
_MADE = """
with storage.transaction() as rows:
    rows.execute("CREATE TABLE kept (n INTEGER)")
    rows.commit()
"""
_STORE = f"""{_OPENED}{_MADE}
storage.look_up("SELECT n FROM kept", ())
storage.discard()
said = "written"
while True:
    print(said, flush=True)
    if not sys.stdin.readline():
        break
    try:
        with storage.transaction() as rows:
            rows.execute("INSERT INTO kept VALUES (1)")
            rows.commit()
        said = "written"
    except Lost as error:
        said = error
"""
"""Tries to write whenever it is told to, at first by a new connection."""
_KILLED = f"""{_OPENED}{_MADE}
print(flush=True)
sys.stdin.readline()
threading.Timer(0.5, os._exit, (0,)).start()
with storage.transaction() as rows:
    rows.execute("INSERT INTO kept VALUES (1)")
    rows.commit()
"""
"""Is gone while it waits for the sync of its commit."""
_COUNTS = f"""{_OPENED}
with storage.transaction() as rows:
    print(rows.fetch("SELECT count(*) FROM kept")[0][0], flush=True)
os._exit(0)
"""
"""Reads as whoever is to say that something is so already, and brings nothing to the disk later."""
_COUNTS_AGAIN = f"""{_OPENED}
for _ in range(2):
    try:
        with storage.transaction() as rows:
            print(rows.fetch("SELECT count(*) FROM kept")[0][0], flush=True)
    except Lost as error:
        print(error, flush=True)
    sys.stdin.readline()
os._exit(0)
"""


def run(disk: Disk, program: str) -> str:
    """What a program prints that works on the disk."""
    environ = {"LD_PRELOAD": str(disk.preloaded)}
    environ |= {f"GATEBOOK_{name}": value for name, value in disk.settings.items()}
    command = (sys.executable, "-IS", "-c", _PROGRAM + program, disk.directory)
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout


@contextmanager
def begun(disk: Disk, program: str) -> Iterator[tuple[Callable[[], None], Callable[[], str]]]:
    """Such a program at work: how to send it a line, and to hear one of it."""
    environ = {**os.environ, "LD_PRELOAD": str(disk.preloaded)}
    environ |= {f"GATEBOOK_{name}": value for name, value in disk.settings.items()}
    with subprocess.Popen(
        (sys.executable, "-c", program, disk.directory),
        cwd=ROOT,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def tell() -> None:
            print(file=process.stdin, flush=True)

        yield tell, process.stdout.readline
        process.stdin.close()
    assert process.returncode == 0


def left(disk: Disk, tmp_path: Path, how: str = "none") -> bytes | None:
    """What is in the file after a cut at the end; None: there is no file."""
    disk.cut(disk.written, how, tmp_path / "left")  # type: ignore[arg-type]
    file = tmp_path / "left" / "file"
    return file.read_bytes() if file.exists() else None


@pytest.mark.parametrize("how", CUTS)
def test_what_was_synced_is_there_however_power_fails(disk: Disk, tmp_path: Path, how: str) -> None:
    run(disk, "os.pwrite(opened, b'kept', 0); os.fdatasync(opened); os.fsync(names)")
    assert left(disk, tmp_path, how) == b"kept"


def test_what_was_not_synced_is_gone_and_was_there_for_whoever_read_it(
    disk: Disk, tmp_path: Path
) -> None:
    run(
        disk,
        "os.fsync(names); os.pwrite(opened, b'kept', 0); os.fsync(opened);"
        "os.pwrite(opened, b'lost', 4); os.ftruncate(opened, 6)",
    )
    assert (disk.directory / "file").read_bytes() == b"keptlo"
    assert disk.is_faithful()
    assert left(disk, tmp_path) == b"kept"


def test_a_name_that_was_not_synced_is_gone(disk: Disk, tmp_path: Path) -> None:
    run(disk, "os.pwrite(opened, b'kept', 0); os.fsync(opened)")
    assert left(disk, tmp_path) is None


def test_a_removed_name_comes_back_unless_that_was_synced(disk: Disk, tmp_path: Path) -> None:
    run(disk, "os.pwrite(opened, b'kept', 0); os.fsync(opened); os.fsync(names)")
    disk.begin()
    run(disk, "os.unlink(here + '/file')")
    assert left(disk, tmp_path) == b"kept"
    run(disk, "os.unlink(here + '/file'); os.fsync(names)")
    assert left(disk, tmp_path) is None


def test_sectors_and_first_writes_may_be_left(disk: Disk, tmp_path: Path) -> None:
    run(
        disk,
        "os.fsync(names)\n"
        f"for each in range(64): os.pwrite(opened, bytes([each + 1]) * {SECTOR}, each * {SECTOR})",
    )
    whole = (disk.directory / "file").read_bytes()
    some = left(disk, tmp_path, "some") or b""
    sectors = [some[at : at + SECTOR] for at in range(0, len(some), SECTOR)]
    assert {bytes(SECTOR), *(bytes([each]) * SECTOR for each in range(1, 65))} > set(sectors)
    assert bytes(SECTOR) in sectors
    first = left(disk, tmp_path, "first") or b""
    assert len(first) < len(whole)
    assert whole.startswith(first)


def test_a_failed_sync_is_not_mended_by_a_later_one(disk: Disk, tmp_path: Path) -> None:
    run(disk, "os.fsync(names)")
    disk.control.failing_syncs = A_MILLION
    disk.begin()
    writes = "for each in range(64): os.pwrite(opened, b'x', each)\n"
    assert run(disk, f"{writes}print(tried(os.fsync, opened))") == f"{-errno.EIO}\n"
    disk.control.failing_syncs = 0
    run(disk, "os.fsync(opened)")
    assert set(left(disk, tmp_path) or b"") == {0, ord("x")}


def test_writes_fail_as_often_as_is_wanted(disk: Disk) -> None:
    disk.control.failing_writes = A_MILLION // 2
    said = run(disk, "print([tried(os.pwrite, opened, b'x', 0) for _ in range(64)])")
    assert {1, -errno.EIO} == {int(each) for each in said.strip("[]\n").split(", ")}
    assert 0 < disk.control.failed_writes < 64


def test_a_full_disk_takes_what_fits_and_no_byte_more(disk: Disk) -> None:
    disk.control.room = 6
    wishes = "print([tried(os.pwrite, opened, b'1234', at) for at in (0, 4, 6, 2)])"
    assert run(disk, wishes) == f"[4, 2, {-errno.ENOSPC}, 4]\n"
    assert disk.control.refused_writes == 1


def test_a_read_only_file_system_refuses_every_change_and_no_read(disk: Disk) -> None:
    changes = (
        "os.pwrite, opened, b'x', 0",
        "os.ftruncate, opened, 0",
        "os.fsync, opened",
        "os.unlink, here + '/file'",
        "os.open, here + '/file', os.O_RDWR",
        "os.open, here + '/new', os.O_RDONLY | os.O_CREAT",
    )
    run(disk, "os.pwrite(opened, b'kept', 0)")
    program = f"""
reads = os.open(here + "/file", os.O_RDONLY)
sys.stdin.readline()
print([{", ".join(f"tried({each})" for each in changes)}], os.pread(opened, 9, 0))
"""
    with begun(disk, _PROGRAM + "print(flush=True)" + program) as (told, hear):
        hear()
        disk.control.read_only = 1
        told()
        assert hear() == f"{[-errno.EROFS] * len(changes)} b'kept'\n"
    assert disk.control.denied_writes == len(changes)


def test_a_sync_takes_as_long_as_is_wanted_and_no_longer(disk: Disk) -> None:
    program = "print(flush=True); os.fsync(opened); print('synced', flush=True)"
    disk.control.sync_takes = FOR_EVER
    with begun(disk, _PROGRAM + program) as (_, hear):
        hear()
        assert disk.control.slow_syncs == 0
        disk.control.sync_takes = A_MILLION // 100
        assert hear() == "synced\n"
    assert disk.control.slow_syncs == 1


def test_a_store_that_was_opened_while_it_was_read_only_is_written_when_it_can_be(
    disk: Disk,
) -> None:
    """Security rule 27: SQLite opens what it can only read, and never asks again."""
    with begun(disk, _STORE) as (told, hear):
        assert hear() == "written\n"
        disk.control.read_only = 1
        told()
        assert "readonly" in hear()
        disk.control.read_only = 0
        told()
        assert hear() == "written\n"


def test_what_a_killed_process_wrote_is_on_the_disk_before_anybody_hears_of_it(
    disk: Disk, tmp_path: Path
) -> None:
    """Security rule 25: it was killed between the write of a commit and its sync."""
    with begun(disk, _KILLED) as (told, hear):
        hear()
        disk.control.sync_takes = FOR_EVER
        told()
    disk.control.sync_takes = 0
    with begun(disk, _COUNTS) as (_, hear):
        heard = int(hear())
    disk.cut(disk.written, "none", tmp_path / "left")
    with closing(sqlite3.connect(tmp_path / "left" / "gatebook.db")) as there:
        assert there.execute("SELECT count(*) FROM kept").fetchall() == [(heard,)]
    assert heard == 1


def test_what_a_failed_sync_has_left_in_memory_is_written_anew(disk: Disk, tmp_path: Path) -> None:
    """Security rule 25: the disk says once that it has lost something, and then no more."""
    with begun(disk, _KILLED) as (told, hear):
        hear()
        disk.control.sync_takes = FOR_EVER
        told()
    disk.control.sync_takes, disk.control.failing_syncs = 0, A_MILLION
    with begun(disk, _COUNTS_AGAIN) as (told, hear):
        assert os.strerror(errno.EIO) in hear()
        disk.control.failing_syncs = 0
        told()
        heard = int(hear())
    disk.cut(disk.written, "none", tmp_path / "left")
    with closing(sqlite3.connect(tmp_path / "left" / "gatebook.db")) as there:
        assert there.execute("SELECT count(*) FROM kept").fetchall() == [(heard,)]
    assert heard == 1


def test_a_journal_that_misses_a_write_is_found_out(disk: Disk) -> None:
    run(disk, "os.pwrite(opened, b'kept', 0)")
    (disk.directory / "file").write_bytes(b"past the journal")
    assert not disk.is_faithful()


def test_power_that_fails_takes_nothing_that_was_acknowledged(sqlite_url: str) -> None:
    """Security rules 25 and 30, in their short form."""
    holds(power_cut, sqlite_url)


def test_writes_and_syncs_that_fail_cost_a_503_and_nothing_else(sqlite_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(io_errors, sqlite_url)


def test_a_full_disk_refuses_writes_in_time_and_loses_nothing(sqlite_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(full_disk, sqlite_url)


def test_a_disk_that_hangs_costs_a_503_in_time_and_nothing_else(sqlite_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(slow_disk, sqlite_url)


def test_a_read_only_store_refuses_writes_in_time_and_loses_nothing(database_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(read_only, database_url)
