"""The log and its keys as files, and stores made of them: all the same, or nothing."""

from __future__ import annotations

import random
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import pytest

from app.archive import filling, restoring
from app.archive.importing import Imported, Place, import_log, restore
from app.archive.new_file import new_file
from app.archive.proving import verify_file
from app.archive.writing import back_up
from app.eventstore.log import read_head
from app.signing_keys import KeyRotation
from app.store import UnusableStore, open_store, storage_of
from app.vault import Vault
from app.verifying.log import Noted
from app.writer import Writer
from domain import commands
from domain.errors import Damage, InvalidRequest, InvalidToken, NotFound
from domain.policy import Policy
from projections.registry import PROJECTIONS
from tests.prove.verified import look
from tests.store.archiving import (
    back_up_to,
    export,
    has_nothing,
    live,
    moved,
    place_of,
    rewritten,
)
from tests.store.conftest import MASTER
from tests.store.living import Life
from tests.store.wishing import log_in, permit, register, use, user_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from app.store import Store
    from app.writer import Answer, Wish
    from projections.storage import Storage

OTHER: Final = {"sqlite": "postgresql", "postgresql": "sqlite"}


@pytest.fixture
def lived(store: Store) -> Store:
    live(store)
    return store


@pytest.fixture
def files(lived: Store, tmp_path: Path) -> tuple[Path, Path]:
    """Its log and keys."""
    return export(lived, tmp_path)


@pytest.fixture
def backup(lived: Store, tmp_path: Path) -> Path:
    """All of it."""
    return back_up_to(tmp_path / "backup", lived)


@pytest.fixture
def elsewhere(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Storage]:
    """An empty database of the other kind."""
    if store.storage.kind == "sqlite":
        storage = storage_of(request.getfixturevalue("postgres_url"))
    else:
        storage = storage_of(f"sqlite:///{tmp_path}/elsewhere.db")
    yield storage
    storage.close()


def restored(storage: Storage, backup: Path, *erase: str) -> tuple[Store, Imported]:
    imported = restore(place_of(storage), backup, erase, lambda _: None)
    return open_store(storage, Vault(MASTER), "ES256"), imported


def answer_to(store: Store, wish: Wish) -> Answer:
    writer = Writer(store.log, store.vault, store.ring, Policy())
    (answer,) = writer.commit([wish])
    return answer


def test_a_moved_log_is_the_same_in_a_database_of_the_other_kind(
    lived: Store, files: tuple[Path, Path], elsewhere: Storage, tmp_path: Path
) -> None:
    there = moved(elsewhere, files)
    assert there.storage.kind == OTHER[lived.storage.kind]
    assert look(there) == look(lived)
    with there.storage.snapshot() as rows, lived.storage.snapshot() as before:
        assert read_head(rows)[1:] == read_head(before)[1:]
        assert rows.fetch("SELECT * FROM known_networks ORDER BY network_mac") == before.fetch(
            "SELECT * FROM known_networks ORDER BY network_mac"
        )
    again = tmp_path / "again"
    again.mkdir()
    for one, other in zip(files, export(there, again), strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert isinstance(answer_to(there, log_in("person0.busy", "new")), tuple)
    assert look(there).ok


def test_an_imported_log_goes_on_as_another_one(
    lived: Store, files: tuple[Path, Path], elsewhere: Storage
) -> None:
    before = look(lived)
    assert before.notes == []
    imported = import_log(place_of(elsewhere), *files, lambda _: None, move=False)
    there = open_store(elsewhere, Vault(MASTER), "ES256")
    assert imported.filled.root == before.root
    assert imported.restored is not None
    assert there.log_id == imported.restored.log_id != lived.log_id
    after = look(there, Noted(before.head, before.root))
    assert after.findings == []
    assert after.head > before.head
    assert_all_at_head(there)


def test_a_restored_store_is_whole_and_nobody_is_logged_in(
    lived: Store, backup: Path, elsewhere: Storage
) -> None:
    before = len(read(lived, "SELECT session_id FROM token_lookup_v1 WHERE ended_at IS NULL"))
    there, imported = restored(elsewhere, backup)
    assert imported.restored is not None
    assert imported.restored.sessions == before > 0
    assert read(there, "SELECT count(*) FROM token_lookup_v1 WHERE ended_at IS NULL") == [0]
    whys = read(there, "SELECT DISTINCT ended_why FROM token_lookup_v1 ORDER BY ended_why")
    assert "restored" in whys
    refused = answer_to(there, use("person0.busy", "busy35"))
    assert isinstance(refused, InvalidToken)
    assert refused.reason == "revoked"
    assert look(there).findings == []
    assert_all_at_head(there)


def test_how_many_have_sessions_and_with_how_many_it_is_done_is_told(
    backup: Path, elsewhere: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[int] = []
    done: list[int] = []

    @contextmanager
    def ending(total: int) -> Iterator[Callable[[int], None]]:
        totals.append(total)
        yield done.append

    monkeypatch.setattr(restoring, "BATCH", 2)
    restore(place_of(elsewhere), backup, (), lambda _: None, ending=ending)
    assert totals == [sum(done)]
    assert len(done) > 1
    assert set(done[:-1]) == {2}


def assert_all_at_head(store: Store) -> None:
    """Every view, those that follow too, is there without anybody serving the store."""
    found = look(store)
    assert (found.findings, found.notes) == ([], [])
    assert set(found.digests) == {each.name for each in PROJECTIONS}
    assert read(store, "SELECT DISTINCT position FROM views") == [found.head]
    assert read(store, "SELECT count(*) FROM daily_activity_v1") != [0]


def read(store: Store, sql: str) -> list[object]:
    with store.storage.snapshot() as rows:
        return [row[0] for row in rows.fetch(sql)]


def test_a_restored_store_signs_with_a_key_of_its_own(
    lived: Store, backup: Path, elsewhere: Storage
) -> None:
    signing = "SELECT name FROM ring_keys WHERE name LIKE 'signing %'"
    there, _ = restored(elsewhere, backup)
    assert len(read(there, signing)) == 1
    assert not set(read(there, signing)) & set(read(lived, signing))
    withdrawn = read(there, "SELECT kid FROM revocations_v1 WHERE kid IS NOT NULL")
    assert {f"signing {kid}" for kid in withdrawn} >= set(read(lived, signing))


def test_a_restored_store_has_a_generation_that_no_process_remembers(
    lived: Store, backup: Path, elsewhere: Storage
) -> None:
    there, _ = restored(elsewhere, backup)
    (before,), (after,) = (read(each, "SELECT generation FROM store") for each in (lived, there))
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after > before + 10**9


def test_who_was_erased_since_is_erased_again(
    lived: Store, backup: Path, elsewhere: Storage
) -> None:
    gone, before, stranger = map(user_key, ("person0.busy", "person3", "nobody"))
    there, imported = restored(elsewhere, backup, gone, before, stranger)
    assert imported.restored is not None
    assert (imported.restored.erased, imported.restored.unknown) == (1, 2)
    assert look(there).findings == []
    assert gone not in read(there, "SELECT user_key FROM user_keys WHERE version >= 0")
    assert gone not in read(there, "SELECT user_key FROM user_ids")
    status = f"SELECT status FROM user_directory_v1 WHERE user_key = '{gone}'"
    assert read(there, status) == ["erased"]
    assert isinstance(answer_to(there, permit("person0.busy", "a")), NotFound)
    anew = answer_to(there, register("somebody else", "person0.busy"))
    assert isinstance(anew, tuple)
    assert look(there).findings == []


def test_a_store_with_anything_in_it_is_not_written_over(lived: Store, backup: Path) -> None:
    before = look(lived)
    with pytest.raises(UnusableStore, match="already"):
        restore(place_of(lived.storage), backup, (), lambda _: None)
    assert look(lived) == before


def test_another_master_key_is_refused_before_anything_is_written(
    backup: Path, files: tuple[Path, Path], elsewhere: Storage
) -> None:
    other = place_of(elsewhere, bytes(32))
    with pytest.raises(UnusableStore, match="isn't the one given"):
        restore(other, backup, (), lambda _: None)
    with pytest.raises(UnusableStore, match="isn't the one given"):
        import_log(other, *files, lambda _: None, move=True)
    assert has_nothing(elsewhere)


def test_the_previous_master_key_opens_what_it_wrapped(backup: Path, elsewhere: Storage) -> None:
    place = Place(elsewhere, Vault(bytes(32), MASTER), place_of(elsewhere).settings)
    restore(place, backup, (), lambda _: None)
    store = open_store(elsewhere, place.vault, "ES256")
    assert look(store).findings == []


class Killed(BaseException):
    """As a signal would."""


@pytest.mark.parametrize("moment", ["keys", "records", "sessions", "commit"])
def test_an_import_that_breaks_off_leaves_nothing_and_can_be_run_again(
    lived: Store,
    backup: Path,
    elsewhere: Storage,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, suppress(Killed):
        if moment == "keys":
            patched.setattr(filling, "_sent", kill)
        elif moment == "sessions":
            patched.setattr(restoring.Restoring, "_end", kill)
        elif moment == "commit":
            patched.setattr(KeyRotation, "rotate", kill)
        advance = kill if moment == "records" else lambda _: None
        restore(place_of(elsewhere), backup, (), advance)
        pytest.fail("it was not broken off")
    assert has_nothing(elsewhere)
    there, _ = restored(elsewhere, backup)
    assert look(there).findings == []


def test_a_file_that_is_cut_off_anywhere_is_refused(
    files: tuple[Path, Path], elsewhere: Storage
) -> None:
    log, keys = files
    lines = log.read_bytes().splitlines(keepends=True)
    for count in (0, 1, 2, len(lines) // 2, len(lines) - 1):
        log.write_bytes(b"".join(lines[:count]))
        with pytest.raises(Damage, match=r"cut off|no file of the kind"):
            import_log(place_of(elsewhere), log, keys, lambda _: None, move=True)
    log.write_bytes(b"".join(lines)[:-20])
    with pytest.raises(Damage, match=f"cut off in line {len(lines)}"):
        import_log(place_of(elsewhere), log, keys, lambda _: None, move=True)
    log.write_bytes(b"".join([*lines[:7], b"[8\n", *lines[8:]]))
    with pytest.raises(Damage, match="Line 8 of the file: This line is no record"):
        import_log(place_of(elsewhere), log, keys, lambda _: None, move=True)
    log.write_bytes(b"".join(lines))
    cut_keys = keys.read_bytes().splitlines(keepends=True)[:-1]
    keys.write_bytes(b"".join(cut_keys))
    with pytest.raises(Damage, match="cut off"):
        import_log(place_of(elsewhere), log, keys, lambda _: None, move=True)
    assert has_nothing(elsewhere)


def test_records_that_aren_t_ours_are_refused_and_named(
    files: tuple[Path, Path], elsewhere: Storage
) -> None:
    log, keys = files

    def swap(lines: list[bytes]) -> None:
        one, other = lines[7].split(b"\t"), lines[8].split(b"\t")
        lines[7] = one[0] + b"\t" + other[1]

    rewritten(log, swap)
    with pytest.raises(Damage, match="Event 7 of the file: This event was changed"):
        import_log(place_of(elsewhere), log, keys, lambda _: None, move=True)
    assert has_nothing(elsewhere)


def test_what_is_behind_the_end_or_before_the_beginning_is_refused(
    files: tuple[Path, Path], backup: Path, elsewhere: Storage
) -> None:
    log, keys = files
    place = place_of(elsewhere)
    with pytest.raises(Damage, match=r"gatebook-keys, and gatebook-log is needed"):
        import_log(place, keys, keys, lambda _: None, move=True)
    with pytest.raises(Damage, match=r"gatebook-log, and gatebook-backup is needed"):
        restore(place, log, (), lambda _: None)
    whole = log.read_bytes()
    log.write_bytes(whole + b"\n")
    with pytest.raises(Damage, match="more in the file"):
        import_log(place, log, keys, lambda _: None, move=True)
    log.write_bytes(whole.replace(b'"version":1', b'"version":2', 1))
    with pytest.raises(Damage, match=r"version 2, this release reads 1"):
        import_log(place, log, keys, lambda _: None, move=True)
    backup.write_bytes(backup.read_bytes().replace(b'"name",', b'"name" ,', 1))
    with pytest.raises(Damage, match="counts other bytes"):
        restore(place, backup, (), lambda _: None)
    assert has_nothing(elsewhere)


def test_keys_of_another_moment_are_refused(
    lived: Store, files: tuple[Path, Path], elsewhere: Storage, tmp_path: Path
) -> None:
    log, _ = files
    Life(lived, random.Random(6), "other.").begin()
    later = tmp_path / "later"
    later.mkdir()
    _, keys = export(lived, later)
    with pytest.raises(Damage, match="aren't of the same moment"):
        import_log(place_of(elsewhere), log, keys, lambda _: None, move=True)
    assert has_nothing(elsewhere)


def test_an_export_is_proved_by_itself(lived: Store, files: tuple[Path, Path]) -> None:
    log, _ = files
    whole = look(lived)
    found = verify_file(log, Noted(whole.head, whole.root), lambda _: None)
    assert found.findings == []
    assert (found.log_id, found.head, found.root) == (whole.log_id, whole.head, whole.root)


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_byte_of_an_export_is_found(files: tuple[Path, Path], seed: int) -> None:
    log, _ = files
    rng, content = random.Random(seed), bytearray(log.read_bytes())
    place = rng.randrange(len(b'{"format":"gatebook-log","version":1,'), len(content) - 1)
    content[place] ^= rng.randint(1, 255)
    log.write_bytes(content)
    assert not verify_file(log, None, lambda _: None).ok


def test_what_the_last_line_can_t_hide_is_found_in_an_export(
    lived: Store, files: tuple[Path, Path]
) -> None:
    log, _ = files
    root = look(lived).root

    def remove(lines: list[bytes]) -> None:
        del lines[5]

    rewritten(log, remove)
    found = verify_file(log, None, lambda _: None)
    assert (found.findings[0].table, found.findings[0].key) == ("events", "5")
    assert found.findings[-1].detail == "The root is another one than the file says."
    assert found.root != root


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with suppress(Killed), new_file(path) as file:
        file.write(b"half")
        raise Killed
    assert list(tmp_path.iterdir()) == []
    with new_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(InvalidRequest), begun(path):
        path.write_text("came meanwhile")
    assert path.read_text() == "came meanwhile"
    with pytest.raises(InvalidRequest), begun(path):
        pytest.fail("it was begun")
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidRequest), begun(tmp_path / "link"):
        pytest.fail("it was begun")
    with pytest.raises(InvalidRequest), begun(tmp_path / "nowhere" / "file"):
        pytest.fail("it was begun")


@contextmanager
def begun(path: Path) -> Iterator[None]:
    with new_file(path):
        yield


def test_the_same_store_is_written_in_the_same_bytes(lived: Store, backup: Path) -> None:
    again = backup.with_name("again")
    with lived.storage.snapshot() as rows, new_file(again) as file:
        back_up(rows, file, lambda _: None, lived.ring.log)
    assert again.read_bytes() == backup.read_bytes()


def test_a_log_restored_twice_is_whole(lived: Store, backup: Path, elsewhere: Storage) -> None:
    there, _ = restored(elsewhere, backup)
    answer = answer_to(there, commands_of("person0.busy"))
    assert isinstance(answer, tuple)
    second = backup.with_name("second")
    with there.storage.snapshot() as rows, new_file(second) as file:
        back_up(rows, file, lambda _: None, there.ring.log)
    third = storage_of(f"sqlite:///{backup.parent}/third.db")
    last, imported = restored(third, second)
    assert imported.restored is not None
    assert imported.restored.sessions == 1
    assert look(last).findings == []
    third.close()


def commands_of(who: str) -> Wish:
    """A login."""
    wish = log_in(who, "after")
    assert isinstance(wish.command, commands.StartSession)
    return wish
