"""A disk under the files of one directory: it fails as it is told, and forgets at a power cut.

    with Disk(directory) as disk:
        disk.begin()
        with running(settings(url, **disk.settings), preload=disk.preloaded) as server:
            disk.room = 0
            server.kill()
        disk.cut(disk.written, "some", directory)

What the server did to the files is in the journal of the library that is loaded into it (disk.c).
At a cut what was synced is there; of the rest nothing, some sectors or the first writes are. A name
is there once its directory was synced. As SQLite assumes, a write that is torn leaves the bytes
around it as they were. Knows no format of any file.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import random
import shutil
import struct
import subprocess
import tempfile
import threading
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self, get_args

from tests.prove.tally import Untried

if TYPE_CHECKING:
    from collections.abc import Iterator

Cut = Literal["none", "some", "first"]
"""What is left of what wasn't synced: nothing, sectors here and there, the first writes."""

CUTS: Final[tuple[Cut, ...]] = get_args(Cut)
_Left = Literal[Cut, "all"]
UNLIMITED: Final = 2**63 - 1
FOR_EVER: Final = 3_600_000_000
"""An hour in µs: what a sync takes that hangs, until it is told to take less."""
SECTOR: Final = 512
A_MILLION: Final = 1_000_000

_SOURCE: Final = Path(__file__).with_name("disk.c")
_RECORD: Final = struct.Struct("=iiqq")
_NAME, _WRITE, _LENGTH, _SYNC, _FAILED_SYNC, _REMOVED, _NAMES_SYNC = range(1, 8)
_DIRECTORY: Final = -2
_building: Final = threading.Lock()
_SHARED: Final = "-shm"


class Unbuilt(Untried):
    """There is no C compiler here: what needs the library can't be tried."""


class Control(ctypes.Structure):
    """`struct control` of disk.c."""

    _fields_ = (
        ("failing_writes", ctypes.c_int64),
        ("failing_syncs", ctypes.c_int64),
        ("lying_syncs", ctypes.c_int64),
        ("room", ctypes.c_int64),
        ("sync_takes", ctypes.c_int64),
        ("read_only", ctypes.c_int64),
        ("draws", ctypes.c_int64),
        ("failed_writes", ctypes.c_int64),
        ("failed_syncs", ctypes.c_int64),
        ("lied_syncs", ctypes.c_int64),
        ("refused_writes", ctypes.c_int64),
        ("denied_writes", ctypes.c_int64),
        ("slow_syncs", ctypes.c_int64),
        ("directory", ctypes.c_char * 4000),
    )


class _Step(NamedTuple):
    """One record of the journal; `begun` is where it is there."""

    begun: int
    kind: int
    file: int
    at: int
    data: bytes


class Undone(NamedTuple):
    """What a cut took away: writes that weren't there at all, and writes that were in part."""

    lost: int
    torn: int


def library() -> Path:
    """The library, built once by this process; raises `Unbuilt` where there is no `cc`."""
    with _building:  # a control may be the first, in a thread beside
        return _build()


@cache
def _build() -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unbuilt("there is no C compiler (cc) here")
    directory = tempfile.mkdtemp(prefix="gatebook-disk-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    built = Path(directory) / "disk.so"
    options = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")
    subprocess.run([compiler, *options, "-o", built, _SOURCE, "-ldl", "-pthread"], check=True)
    return built


class Disk:
    """Under one directory; `control` may be written while a server runs on it."""

    def __init__(self, directory: Path) -> None:
        self.preloaded = library()
        self.directory = directory.resolve()
        self._place = Path(tempfile.mkdtemp(prefix="gatebook-disk-"))
        self._journal = self._place / "journal"
        control = self._place / "control"
        control.write_bytes(bytes(ctypes.sizeof(Control)))
        self._journal.touch()
        with control.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.control = Control.from_buffer(self._map)
        self.control.directory = bytes(self.directory)
        self.control.draws = random.getrandbits(62)
        self.control.room = UNLIMITED
        self._before: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._place)

    @property
    def settings(self) -> dict[str, str]:
        """What a server is told, beside the library that is loaded into it."""
        return {"TEST_DISK": str(self._place)}

    @property
    def written(self) -> int:
        """How far the journal is: a moment of the disk."""
        return self._journal.stat().st_size

    def begin(self) -> None:
        """Take what there is as what is on the disk, and begin the journal anew."""
        self._before = {
            path.name: path.read_bytes()
            for path in self.directory.iterdir()
            if path.is_file() and not path.name.endswith(_SHARED)
        }
        self._journal.write_bytes(b"")

    def syncs(self, name: str) -> int:
        """How often the file of this name was synced since the journal began."""
        steps = [*self._steps(self.written)]
        files = {step.file for step in steps if step.kind == _NAME and step.data == name.encode()}
        return sum(step.kind == _SYNC and step.file in files for step in steps)

    def cut(self, moment: int, how: Cut, place: Path) -> Undone:
        """Have in `place` what is on the disk when power fails at that moment.

        Shared memory holds anything: what it was, nothing, or noise.
        """
        medium = _Medium(self._before, how)
        for step in self._steps(moment):
            medium.take(step)
        found, undone = medium.after_a_cut()
        shared = {path.name: path.read_bytes() for path in self.directory.glob(f"*{_SHARED}")}
        for path in place.iterdir():
            if path.name in self._before or path.name in medium.seen or path.name in shared:
                path.unlink()
        for name, content in found.items():
            (place / name).write_bytes(content)
        for name, content in shared.items():
            left = random.choice((content, b"", random.randbytes(len(content))))
            if left:
                (place / name).write_bytes(left)
        return undone

    def is_faithful(self) -> bool:
        """Whether the journal has every byte of the files: nothing was written past it."""
        medium = _Medium(self._before, "all")
        steps = [*self._steps(self.written)]
        for step in steps:
            medium.take(step)
        found, _ = medium.after_a_cut()
        there = {path.name: path.read_bytes() for path in self.directory.iterdir()}
        kept = {name: content for name, content in there.items() if name in medium.seen}
        return bool(steps) and kept == {name: found[name] for name in found if name in medium.seen}

    def _steps(self, moment: int) -> Iterator[_Step]:
        journal, place = self._journal.read_bytes()[:moment], 0
        while place + _RECORD.size <= len(journal):
            kind, file, at, size = _RECORD.unpack_from(journal, place)
            begun, place = place, place + _RECORD.size + size
            if place > len(journal):
                return
            yield _Step(begun, kind, file, at, journal[place - size : place])


class _File:
    """What is on the medium of a file, and what isn't yet."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.waiting: list[_Step] = []

    def sync(self, begun: int) -> None:
        """What was done before is on the medium."""
        for step in self.waiting:
            if step.begun < begun:
                self.put(step)
        self.waiting = [step for step in self.waiting if step.begun >= begun]

    def fail(self, begun: int) -> None:
        """A sync failed: some of what was to be synced is forgotten, and no later sync has it."""
        self.waiting = [
            step for step in self.waiting if step.begun >= begun or random.random() < 1 / 2
        ]

    def put(self, step: _Step, since: int = 0, until: int | None = None) -> None:
        """A write or a length; of a write only these bytes."""
        if step.kind == _LENGTH:
            del self.content[step.at :]
            self.content += bytes(step.at - len(self.content))
            return
        data, at = step.data[since:until], step.at + since
        self.content += bytes(max(0, at - len(self.content)))
        self.content[at : at + len(data)] = data


class _Medium:
    """A directory, its files, and what became of what wasn't synced."""

    def __init__(self, before: dict[str, bytes], how: _Left) -> None:
        self.seen: set[str] = set()
        self._how = how
        self._files: dict[int, _File] = {}
        self._before = before
        self._names: dict[str, int] = {}
        self._renamed: list[_Step] = []
        self._lost = self._torn = 0
        for number, (name, content) in enumerate(before.items(), 1):
            self._files[-number] = _File(content)
            self._names[name] = -number

    def take(self, step: _Step) -> None:
        """One more record."""
        if step.kind == _NAME:
            name = step.data.decode()
            self.seen.add(name)
            if step.at:
                self._files[step.file] = _File()
                self._renamed.append(step)
            else:
                self._files[step.file] = self._files[self._names[name]]
        elif step.kind == _REMOVED:
            self._renamed.append(step)
        elif step.kind == _NAMES_SYNC:
            self._sync_names(step.at)
        elif step.kind == _SYNC:
            self._files[step.file].sync(step.at)
        elif step.kind == _FAILED_SYNC:
            if step.file != _DIRECTORY:
                self._files[step.file].fail(step.at)
        else:
            self._files[step.file].waiting.append(step)

    def after_a_cut(self) -> tuple[dict[str, bytes], Undone]:
        """Every file by its name, and what was taken away."""
        for file in {id(each): each for each in self._files.values()}.values():
            self._leave(file)
        for step in self._renamed:
            if self._how == "all" or (self._how != "none" and random.random() < 1 / 2):
                self._rename(step)
        found = {name: bytes(self._files[number].content) for name, number in self._names.items()}
        return found, Undone(self._lost, self._torn)

    def _leave(self, file: _File) -> None:
        """Of what waits, what the way of the cut leaves."""
        waiting = file.waiting
        if self._how == "all":
            for step in waiting:
                file.put(step)
        elif self._how == "none":
            self._lost += len(waiting)
        elif self._how == "first" and waiting:
            whole = random.randrange(len(waiting))
            for step in waiting[:whole]:
                file.put(step)
            if waiting[whole].data:
                file.put(waiting[whole], 0, random.randrange(len(waiting[whole].data)))
                self._torn += 1
            self._lost += len(waiting) - whole - 1
        elif self._how == "some":
            for step in waiting:
                self._leave_sectors(file, step)

    def _leave_sectors(self, file: _File, step: _Step) -> None:
        edges = [0, *range(SECTOR - step.at % SECTOR, len(step.data), SECTOR), len(step.data)]
        pieces = [*pairwise(edges)] if step.data else [(0, 0)]
        kept = [piece for piece in pieces if random.random() < 1 / 2]
        for since, until in kept:
            file.put(step, since, until)
        self._lost += not kept
        self._torn += 0 < len(kept) < len(pieces)

    def _sync_names(self, begun: int) -> None:
        for step in self._renamed:
            if step.begun < begun:
                self._rename(step)
        self._renamed = [step for step in self._renamed if step.begun >= begun]

    def _rename(self, step: _Step) -> None:
        name = step.data.decode()
        if step.kind == _NAME:
            self._names[name] = step.file
        else:
            self._names.pop(name, None)
