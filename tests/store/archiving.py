"""Archives of a store with a past, as they are, and as somebody changed them who has no key.

Knows no test.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING

import msgspec

from app.archive.importing import Place, import_log
from app.archive.lines import End
from app.archive.new_file import new_file
from app.archive.writing import back_up, export_keys, export_log
from app.settings import load
from app.store import open_store
from app.vault import Vault
from tests.running import settings
from tests.store.conftest import MASTER
from tests.store.living import Life, follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from app.store import Store
    from projections.storage import Storage


def live(store: Store) -> None:
    """Give a store a past."""
    life = Life(store, random.Random(5))
    life.begin()
    life.go_on(60)
    life.erase("person3")
    follow(store.storage)


def back_up_to(path: Path, store: Store) -> Path:
    """A sealed backup."""
    with store.storage.snapshot() as rows, new_file(path) as file:
        back_up(rows, file, lambda _: None, store.ring.log)
    return path


def export(store: Store, directory: Path) -> tuple[Path, Path]:
    log, keys = directory / "log", directory / "keys"
    key = store.ring.log
    with store.storage.snapshot() as rows, new_file(log) as records, new_file(keys) as wrapped:
        export_keys(rows, wrapped, export_log(rows, records, lambda _: None, key), key)
    return log, keys


def place_of(storage: Storage, master: bytes = MASTER) -> Place:
    return Place(storage, Vault(master), load(settings("sqlite:///unused")).settings)


def moved(storage: Storage, files: tuple[Path, Path]) -> Store:
    import_log(place_of(storage), *files, lambda _: None, move=True)
    return open_store(storage, Vault(MASTER), "ES256")


def has_nothing(storage: Storage) -> bool:
    storage.prepare()
    with storage.transaction() as rows:
        return not rows.has_table("store") and not rows.has_table("events")


def rewritten(
    path: Path, change: Callable[[list[bytes]], None], *, by: bytes | None = None, **said: object
) -> End:
    """Other lines, with a last one that counts them rightly and says more.

    It keeps the seal that it had, unless it is sealed `by` a key, or says that it has none.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    end = msgspec.json.decode(lines.pop(), type=End)
    whole = b"".join(lines)
    end = msgspec.structs.replace(end, sha256=hashlib.sha256(whole).hexdigest(), **said)
    if by is not None:
        end = end.sealed(by)
    path.write_bytes(whole + msgspec.json.encode(end) + b"\n")
    return end
