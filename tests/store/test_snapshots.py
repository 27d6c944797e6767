"""Snapshots: kept by the writer, used when good, and never needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.eventstore import snapshot
from app.eventstore.log import read_stream
from domain.aggregate import USER
from domain.errors import Damage
from tests.store.intruding import dump, intrude, unseal
from tests.store.test_sealing import person_key
from tests.store.wishing import IP, end, log_in, register, user_key

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer
    from domain.user import User
    from tests.store.conftest import MakeWriter

ADA = user_key("ada")
LOGINS = 140


def versions(store: Store) -> list[object]:
    with store.storage.snapshot() as rows:
        return [
            row[0] for row in rows.fetch("SELECT version FROM snapshots WHERE stream = ?", (ADA,))
        ]


def folded(store: Store) -> User:
    with store.storage.snapshot() as rows:
        return USER.fold(each.recorded() for each in read_stream(rows, ADA))


def spoil_the_first_login(store: Store) -> None:
    """So that whoever folds the stream from its beginning meets damage."""
    with store.storage.transaction() as rows:
        unseal(rows, store.storage.kind)
        rows.execute("UPDATE events SET clear = ? WHERE stream = ? AND version = 2", (b"{", ADA))
        rows.commit()


@pytest.fixture
def busy(writer: Writer) -> Writer:
    """Ada has logged in so often that her stream has snapshots."""
    writer.commit([register("ada")])
    for first in range(0, LOGINS, 10):
        answers = writer.commit([log_in("ada", str(n)) for n in range(first, first + 10)])
        assert not [each for each in answers if isinstance(each, Exception)]
    return writer


def test_the_newest_snapshot_is_kept_at_every_fiftieth_event(store: Store, writer: Writer) -> None:
    writer.commit([register("ada")])
    seen = []
    for n in range(LOGINS):
        writer.commit([log_in("ada", str(n))])
        seen += versions(store)
    assert set(seen) == {51, 101, 151, 201, 252, 300}
    assert versions(store) == [300]


def test_snapshot_and_rest_are_the_whole(store: Store, busy: Writer) -> None:
    with store.storage.snapshot() as rows:
        start = snapshot.newest(rows, {ADA: person_key(rows, store.vault, "ada")})[ADA]
        rest = [each.recorded() for each in read_stream(rows, ADA, start.version)]
    assert 0 < start.version < folded(store).version
    assert USER.fold(rest, start) == folded(store)


def test_a_new_writer_starts_from_the_snapshot(
    store: Store, busy: Writer, make_writer: MakeWriter
) -> None:
    spoil_the_first_login(store)
    (answer,) = make_writer(store).commit([log_in("ada", "new")])
    assert not isinstance(answer, Exception)
    with store.storage.transaction() as rows:
        rows.execute("DELETE FROM snapshots")
        rows.commit()
    (answer,) = make_writer(store).commit([log_in("ada", "newer")])
    assert isinstance(answer, Damage)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM snapshots",
        "UPDATE snapshots SET topic = 'snapshot.user.0'",
        "UPDATE snapshots SET state = substr(state, 1, length(state) - 1)",
        "UPDATE snapshots SET state = substr(state, 2)",
        "UPDATE snapshots SET state = substr(state, 1, 0)",
        "INSERT INTO snapshots SELECT stream, version + 50, topic, substr(state, 9) FROM snapshots",
        "INSERT INTO snapshots SELECT stream, version + 9, 'snapshot.user.2', state FROM snapshots",
    ],
)
def test_a_snapshot_that_can_t_be_used_is_passed_over(
    store: Store, busy: Writer, make_writer: MakeWriter, database_url: str, change: str
) -> None:
    with intrude(database_url) as intruder:
        intruder.run(change)
    version = folded(store).version
    new = make_writer(store)
    started, ended, missing = new.commit(
        [log_in("ada", "new"), end("ada", str(LOGINS - 1)), end("ada", "never")]
    )
    assert not isinstance(started, Exception)
    assert started[0].version == version + 1
    assert not isinstance(ended, Exception)
    assert len(ended) == 1
    assert missing == ()


def test_a_snapshot_of_another_user_is_passed_over(
    store: Store, busy: Writer, make_writer: MakeWriter, database_url: str
) -> None:
    busy.commit([register("bob")])
    with intrude(database_url) as intruder:
        intruder.run(
            "INSERT INTO snapshots SELECT ?, version, topic, state FROM snapshots",
            (user_key("bob"),),
        )
    (answer,) = make_writer(store).commit([log_in("bob", "b")])
    assert not isinstance(answer, Exception)
    assert answer[0].version == 2


def test_a_snapshot_shows_nobody(store: Store, busy: Writer, database_url: str) -> None:
    """Security rule 20."""
    assert versions(store)
    assert IP.encode() not in dump(database_url)


def test_a_batch_keeps_its_snapshot_or_nothing(
    store: Store, busy: Writer, make_writer: MakeWriter, database_url: str
) -> None:
    before = versions(store)
    with intrude(database_url) as intruder:
        intruder.refuse("snapshots", "stream", ADA)
        answers = [busy.commit([log_in("ada", f"more {n}")])[0] for n in range(40)]
        refused = [n for n, answer in enumerate(answers) if isinstance(answer, Exception)]
        assert refused
        assert versions(store) == before
        count = folded(store).version
        intruder.relent("snapshots")
    (answer,) = make_writer(store).commit([log_in("ada", "last")])
    assert not isinstance(answer, Exception)
    assert answer[0].version == count + 1
    assert versions(store) != before
