"""What can befall a store as a whole: its keys change, its backup is restored, its master key goes.

Knows nobody who is in it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from app import erasing
from app.archive.importing import Place, restore
from app.archive.new_file import new_file
from app.archive.writing import back_up
from app.caller import system
from app.eventstore.schema import RAISE_GENERATION
from app.rewrapping import rewrap
from app.settings import load
from app.signing_keys import KeyRotation
from app.store import storage_of
from app.tokens.key_ring import KeyRing
from app.vault import DROP_RING_KEY, Vault, signing_name
from app.writer import Wish, Writer
from domain import commands
from tests.running import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.store import Store
    from domain.stream import Meta, Recorded
    from projections.storage import Statement


async def change_keys(store: Store, writer: Writer) -> None:
    """One takes over and the first retires; one at once, as of a leak; one that is to follow."""

    async def dispatch(
        command: commands.Command, meta: Meta, rows: tuple[Statement, ...] = ()
    ) -> tuple[Recorded, ...]:
        (answer,) = writer.commit([Wish(command, meta, rows)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    given = load(settings("sqlite:///unused")).settings
    first = KeyRing(store).signer(0).kid
    # Nobody waits here for verifiers to hear of the successor.
    soon = KeyRotation(dispatch, store.vault, msgspec.structs.replace(given, jwks_max_age=0))
    await soon.rotate(system())
    rows = ((DROP_RING_KEY, (signing_name(first),)), (RAISE_GENERATION, ()))
    assert await dispatch(commands.RetireSigningKey(first, 0), system(), rows)
    rotation = KeyRotation(dispatch, store.vault, given)
    await rotation.rotate(system(), at_once=True)
    await rotation.rotate(system())


def restore_at(url: str, store: Store, erased: Sequence[str]) -> None:
    """Make another store of its backup, and erase these again."""
    with tempfile.TemporaryDirectory() as folder:
        backup = Path(folder) / "backup"
        with store.storage.snapshot() as rows, new_file(backup) as file:
            back_up(rows, file, lambda _: None, store.ring.log)
        storage = storage_of(url)
        restore(Place(storage, store.vault, load(settings(url)).settings), backup, erased, _untold)
        erasing.finish(storage)
        storage.close()


def rewrap_at(url: str, old: bytes, new: bytes) -> None:
    """Change the master key of a store that nobody serves."""
    storage = storage_of(url)
    assert rewrap(storage, Vault(new, old), _untold)
    storage.close()


def _untold(number: int) -> None:
    del number
