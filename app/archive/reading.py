"""Reading a file of records or keys, line by line.

Knows no store. What is read is no more than what somebody wrote: who fills a store proves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from app.archive.lines import End, Format, Header, read_end, read_header
from domain.errors import Damage, Fault, InvalidRequest

T = TypeVar("T")

LONGEST = 1 << 24
"""Bytes of a line, and more than any has."""


class Reader:
    """A file's lines; `end` is there once they were all read."""

    def __init__(self, file: BinaryIO, wanted: Format) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        line = file.readline(LONGEST)
        self._hash.update(line)
        self.header: Header = read_header(line.removesuffix(b"\n"), wanted)
        self.number = 1
        self.end: End | None = None

    def lines(self) -> Iterator[bytes]:
        """The lines between the first and the last.

        Raises `Damage` when the last line is missing, isn't the last, or counts other bytes.
        """
        while line := self._file.readline(LONGEST):
            self.number += 1
            if not line.endswith(b"\n"):
                msg = f"The file is cut off in line {self.number}."
                raise Damage(msg)
            if line.startswith(b"{"):
                self._finish(line)
                return
            self._hash.update(line)
            yield line.removesuffix(b"\n")
        msg = f"The file is cut off after line {self.number}."
        raise Damage(msg)

    def read(self, of: Callable[[bytes], T], lines: Iterator[bytes]) -> Iterator[T]:
        """What these lines of the file are; raises `Damage` naming the one that isn't."""
        for line in lines:
            try:
                yield of(line)
            except Damage as error:
                msg = (
                    f"Line {self.number} of the file: {error.detail} Perhaps it was cut off there."
                )
                raise Damage(msg) from None

    def _finish(self, line: bytes) -> None:
        end = read_end(line.removesuffix(b"\n"))
        if self._file.read(1):
            msg = f"There is more in the file after line {self.number}, which says that it ends."
            raise Damage(msg)
        self.end = end
        if end.sha256 != self._hash.hexdigest():
            msg = "The file isn't as it was written: its last line counts other bytes."
            raise Damage(msg)


@contextmanager
def reading(path: Path, wanted: Format) -> Iterator[Reader]:
    """Open a file; raises `InvalidRequest` when it can't be, `Damage` for one of another kind."""
    try:
        file = path.open("rb")
    except OSError as error:
        msg = "The file can't be read."
        why = f"{str(path)!r} can't be opened ({error.strerror})."
        raise InvalidRequest(msg, (Fault("/file", why),)) from None
    with file:
        yield Reader(file, wanted)
