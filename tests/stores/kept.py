"""The stores that releases have left: which there are, and a copy of one in a database.

Knows nothing of what is done with a copy.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import psycopg

from tests.store.intruding import SQLITE
from tests.stores.make import Expected

HERE: Final = Path(__file__).parent


class Kept(NamedTuple):
    """One store of one release."""

    directory: Path

    @property
    def release(self) -> str:
        """Which release wrote it."""
        return self.directory.parent.name

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.directory.name

    @property
    def master_key(self) -> bytes:
        """The key that it was written with."""
        return base64.b64decode((self.directory / "master_key.txt").read_bytes())

    @property
    def former_master_key(self) -> bytes | None:
        """The one before that, of a store whose master key was changed."""
        file = self.directory / "former_master_key.txt"
        return base64.b64decode(file.read_bytes()) if file.exists() else None

    @property
    def expected(self) -> Expected:
        """What was true of it then."""
        content = (self.directory / "expected.json").read_bytes()
        return msgspec.json.decode(content, type=Expected)

    def copy_to(self, url: str) -> None:
        """Copy it into an empty database of its kind."""
        if self.kind == "sqlite":
            shutil.copyfile(self.directory / "gatebook.db", url.removeprefix(SQLITE))
            return
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute((self.directory / "dump.sql").read_bytes())


KEPT: Final = tuple(Kept(each.parent) for each in sorted(HERE.glob("v*/*/expected.json"), key=str))
"""All of them."""
