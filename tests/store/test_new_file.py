"""A file that appears whole or not at all: what a disk that is full says of it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.archive.new_file import new_file
from domain.errors import InvalidRequest

MOST = 64 * 1024


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file of this process may be longer than `MOST`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("bytes_", [MOST + 1, 64 * MOST])
def test_a_full_disk_is_told_with_the_files_name_and_leaves_nothing(
    tmp_path: Path, bytes_: int
) -> None:
    path = tmp_path / "backup.gbk"
    with pytest.raises(InvalidRequest) as refused, new_file(path) as file:
        file.write(bytes(bytes_))
    [fault] = refused.value.faults
    assert f"{str(path)!r} can't be written to its end (File too large)" in fault.detail
    assert list(tmp_path.iterdir()) == []


def test_what_fails_for_another_reason_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), new_file(tmp_path / "backup.gbk"):
        raise BrokenPipeError
    assert list(tmp_path.iterdir()) == []
