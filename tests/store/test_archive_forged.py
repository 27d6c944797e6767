"""Files that somebody changed who has no key: refused, and nothing is left of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from app.archive.importing import import_log, restore
from app.archive.lines import Reservation, read_key, read_record, spell
from app.archive.new_file import new_file
from app.archive.writing import back_up, export_keys
from app.merkle import Tree
from app.store import open_store, storage_of
from app.vault import Vault
from app.verifying.log import Noted
from domain.errors import Damage
from tests.prove.verified import look
from tests.store.archiving import back_up_to, export, has_nothing, live, place_of, rewritten
from tests.store.conftest import MASTER
from tests.store.wishing import commit, permit, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.archive.lines import End
    from app.store import Store
    from projections.storage import Storage
    from tests.store.conftest import MakeWriter

GONE: Final = 10
"""Events that are cut off."""


@pytest.fixture
def lived(store: Store, make_writer: MakeWriter) -> Store:
    """With newest events that no key goes with, so that nothing else tells when they are gone."""
    live(store)
    writer = make_writer(store)
    for number in range(GONE):
        commit(writer, [permit("person0.busy", f"p{number}")])
    return store


@pytest.fixture
def backup(lived: Store, tmp_path: Path) -> Path:
    return back_up_to(tmp_path / "backup", lived)


@pytest.fixture
def empty(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Storage]:
    """A database of the other kind."""
    if store.storage.kind == "sqlite":
        storage = storage_of(request.getfixturevalue("postgres_url"))
    else:
        storage = storage_of(f"sqlite:///{tmp_path}/empty.db")
    yield storage
    storage.close()


def swap_names(lines: list[bytes]) -> None:
    places = [n for n, line in enumerate(lines) if line.startswith(b'["name"')][:2]
    one, other = (read_key(lines[place].strip()) for place in places)
    assert isinstance(one, Reservation)
    assert isinstance(other, Reservation)
    lines[places[0]] = spell(Reservation(one.name_mac, other.user_key))
    lines[places[1]] = spell(Reservation(other.name_mac, one.user_key))


def leave_out(begin: bytes) -> Callable[[list[bytes]], None]:
    """The first line that begins so."""

    def change(lines: list[bytes]) -> None:
        del lines[next(n for n, line in enumerate(lines) if line.startswith(begin))]

    return change


def forge_log_id(lines: list[bytes]) -> None:
    lines[0] = lines[0].replace(b'"log_id":"', b'"log_id":"AAAA', 1)


FORGED: Final = {
    "names swapped": (swap_names, "in user_ids of the file: .* has another name in the log"),
    "a name left out": (leave_out(b'["name"'), "in user_ids of the file: Missing"),
    "a person left out": (
        leave_out(b'["user","%s",0' % user_key("person0.busy").encode()),
        "in user_keys of the file: Missing, though nobody erased it",
    ),
    "a log_id forged": (forge_log_id, "The file's first line isn't that of its records"),
}


@pytest.mark.parametrize("name", FORGED)
def test_keys_and_headers_are_those_of_the_records_or_refused(
    lived: Store, backup: Path, empty: Storage, name: str
) -> None:
    """Whoever signs the file again: what a store's key proves alone isn't all that is proved."""
    change, told = FORGED[name]
    for by in (None, lived.ring.log):
        end = rewritten(backup, change if by is None else lambda _: None, by=by)
        with pytest.raises(Damage, match=told):
            restore(place_of(empty), backup, (), lambda _: None)
    noted = Noted(end.records, end.root)
    rewritten(backup, lambda _: None, mac=None)
    with pytest.raises(Damage, match=told):
        restore(place_of(empty), backup, (), lambda _: None, noted)
    assert has_nothing(empty)


def test_a_log_that_is_moved_keeps_the_log_id_of_its_records(
    lived: Store, tmp_path: Path, empty: Storage
) -> None:
    files = export(lived, tmp_path)
    for path in files:
        rewritten(path, forge_log_id, by=lived.ring.log)
    with pytest.raises(Damage, match="first line isn't that of its records"):
        import_log(place_of(empty), *files, lambda _: None, move=True)
    assert has_nothing(empty)


def rooted(path: Path, *, mac: bool) -> End:
    """Without its newest events, and with a last line that is right of the others."""
    tree = Tree()

    def shorten(lines: list[bytes]) -> None:
        del lines[-GONE - 1 : -1]
        for line in lines[1:-1]:
            if line[1:2] != b'"':
                tree.add(read_record(line.strip())[0].canonical())

    rewritten(path, shorten)
    end = rewritten(path, lambda _: None, records=tree.count, root=tree.root().hex())
    return end if mac else rewritten(path, lambda _: None, mac=None)


def test_a_log_without_its_newest_events_is_refused(
    lived: Store, backup: Path, empty: Storage
) -> None:
    whole = look(lived)
    rooted(backup, mac=True)
    with pytest.raises(Damage, match="isn't sealed by this store's key"):
        restore(place_of(empty), backup, (), lambda _: None)
    rewritten(backup, lambda _: None, mac=None)
    with pytest.raises(Damage, match="Give --expect"):
        restore(place_of(empty), backup, (), lambda _: None)
    with pytest.raises(Damage, match="its end was cut off, or this is an older copy"):
        restore(place_of(empty), backup, (), lambda _: None, Noted(whole.head, whole.root))
    assert has_nothing(empty)


def test_a_root_that_was_noted_stands_for_the_seal(
    lived: Store, backup: Path, empty: Storage
) -> None:
    """Of the whole file: an older one says nothing of its end."""
    older = back_up_to(backup.with_name("older"), lived)
    noted = rooted(older, mac=False)
    end = rewritten(backup, lambda _: None, mac=None)
    with pytest.raises(Damage, match="Give --expect"):
        restore(place_of(empty), backup, (), lambda _: None, Noted(noted.records, noted.root))
    with pytest.raises(Damage, match="this isn't the log of the noted root"):
        restore(place_of(empty), backup, (), lambda _: None, Noted(noted.records, end.root))
    assert has_nothing(empty)
    restore(place_of(empty), backup, (), lambda _: None, Noted(end.records, end.root))
    assert look(open_store(empty, Vault(MASTER), "ES256")).findings == []


def test_a_sealed_file_extends_any_root_that_was_noted(
    lived: Store, backup: Path, empty: Storage
) -> None:
    noted = rooted(back_up_to(backup.with_name("older"), lived), mac=False)
    restore(place_of(empty), backup, (), lambda _: None, Noted(noted.records, noted.root))
    assert look(open_store(empty, Vault(MASTER), "ES256")).ok


def test_the_last_line_is_of_the_records_whoever_sealed_it(
    lived: Store, backup: Path, empty: Storage
) -> None:
    end = rewritten(backup, lambda _: None)
    for said in ({"records": end.records + 1}, {"root": "0" * 64}):
        rewritten(backup, lambda _: None, by=lived.ring.log, **said)
        with pytest.raises(Damage, match="last line is of other records"):
            restore(place_of(empty), backup, (), lambda _: None)
        rewritten(backup, lambda _: None, records=end.records, root=end.root)
    rewritten(backup, lambda _: None, by=bytes(32))
    with pytest.raises(Damage, match="isn't sealed by this store's key"):
        restore(place_of(empty), backup, (), lambda _: None)
    assert has_nothing(empty)


def test_a_seal_that_is_no_hexadecimal_is_no_seal(
    lived: Store, backup: Path, empty: Storage
) -> None:
    """It was a fault of the program once: comparing text, `compare_digest` takes ASCII alone."""
    for mac in ("é" * 32, "", "\0"):
        rewritten(backup, lambda _: None, mac=mac)
        with pytest.raises(Damage, match="isn't sealed by this store's key"):
            restore(place_of(empty), backup, (), lambda _: None)
    assert has_nothing(empty)
    assert lived.log_id


def test_each_of_two_files_needs_its_seal(lived: Store, tmp_path: Path, empty: Storage) -> None:
    log, keys = export(lived, tmp_path)
    place = place_of(empty)
    for path in (log, keys):
        whole = path.read_bytes()
        end = rewritten(path, lambda _: None, mac=None)
        with pytest.raises(Damage, match="Give --expect"):
            import_log(place, log, keys, lambda _: None, move=True)
        path.write_bytes(whole)
        rewritten(path, lambda _: None, by=bytes(32))
        with pytest.raises(Damage, match="isn't sealed by this store's key"):
            import_log(place, log, keys, lambda _: None, move=True)
        path.write_bytes(whole)
    assert has_nothing(empty)
    rewritten(keys, lambda _: None, mac=None)
    noted = Noted(look(lived).head, end.root)
    import_log(place, log, keys, lambda _: None, move=True, noted=noted)


def test_keys_of_another_moment_are_refused_before_a_record_is_read(
    lived: Store, tmp_path: Path, empty: Storage
) -> None:
    log, keys = export(lived, tmp_path)

    def later(lines: list[bytes]) -> None:
        lines[0] = lines[0].replace(b'"head":', b'"head":1', 1)

    rewritten(keys, later, by=lived.ring.log)
    read: list[int] = []
    with pytest.raises(Damage, match="aren't of the same moment"):
        import_log(place_of(empty), log, keys, read.append, move=True)
    assert read == []


def test_keys_of_another_root_are_refused_whatever_their_header_says(
    lived: Store, tmp_path: Path, empty: Storage
) -> None:
    log, keys = export(lived, tmp_path)
    rewritten(keys, lambda _: None, by=lived.ring.log, root="0" * 64)
    with pytest.raises(Damage, match="aren't of the same moment"):
        import_log(place_of(empty), log, keys, lambda _: None, move=True)
    assert has_nothing(empty)


def test_without_the_key_a_file_is_written_and_says_that_it_isn_t_sealed(
    lived: Store, backup: Path
) -> None:
    bare = backup.with_name("bare")
    with lived.storage.snapshot() as rows, new_file(bare) as file:
        end = back_up(rows, file, lambda _: None)
        with new_file(backup.with_name("keys")) as wrapped:
            export_keys(rows, wrapped, end)
    assert end.mac is None
    assert b'"mac"' not in bare.read_bytes().splitlines()[-1]
    assert bare.read_bytes().splitlines()[:-1] == backup.read_bytes().splitlines()[:-1]
    assert end.sealed(lived.ring.log).mac is not None
