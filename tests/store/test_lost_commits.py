"""The reply to a commit is lost: nothing is stored twice, and every answer is right.

Each write is tried as lost and as done but reported lost.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from app import traces
from app.eventstore.log import read_range
from app.store import open_store, storage_of
from app.writer import SETTLE_WITHIN, Wish, Writer
from domain import commands
from domain.errors import InvalidCredentials, InvalidToken, Unavailable, UserIdTaken
from domain.policy import Policy
from projections.storage import Lost, OutcomeUnknown
from tests.store.chain import verify_chain
from tests.store.unsure import Fate, UnsureStorage
from tests.store.wishing import end, fail, log_in, meta, permit, register, use, user_key

if TYPE_CHECKING:
    from app.store import Store
    from app.vault import Vault
    from app.writer import Answer
    from tests.store.conftest import MakeWriter, OpenStore

UNSURE: tuple[Fate, ...] = ("lost", "done but reported lost")


@pytest.fixture
def unsure(database_url: str) -> UnsureStorage:
    return UnsureStorage(storage_of(database_url))


@pytest.fixture
def store(opened: OpenStore, unsure: UnsureStorage) -> Store:
    return opened(storage=unsure)


def contents(store: Store) -> list[tuple[str, int, str]]:
    with store.storage.snapshot() as rows:
        found = read_range(rows, 3, 10**6)
        assert verify_chain(rows, store.ring.log) == len(found) + 3
        people = {each.stream for each in found}
        for table in ("user_ids", "user_directory_v1"):
            assert {row[0] for row in rows.fetch(f"SELECT user_key FROM {table}")} == people
    return [(each.stream, each.version, each.topic) for each in found]


def kinds(answers: list[Answer]) -> list[object]:
    return [type(each) if isinstance(each, Exception) else len(each) for each in answers]


def told(answers: list[Answer]) -> list[tuple[str, int, str]]:
    return [
        (each.stream, each.version, each.event.name)
        for answer in answers
        if not isinstance(answer, Exception)
        for each in answer
    ]


WRITES: dict[str, tuple[list[Wish], list[object]]] = {
    "a registration": ([register("new")], [1]),
    "a login": ([log_in("ada", "new")], [2]),
    "a use": ([use("ada", "a")], [1]),
    "the end of a session": ([end("ada", "a")], [1]),
    "permissions": ([permit("ada", "admin")], [1]),
    "failed logins": ([fail("ada")], [1]),
    "a batch with refusals": (
        [
            register("new", "ADA"),
            register("new", "Grace"),
            register("late", "grace"),
            log_in("new", "n"),
            log_in("nobody", "x"),
            end("ada", "never"),
            end("ada", "a"),
        ],
        [UserIdTaken, 1, UserIdTaken, 2, InvalidCredentials, 0, 1],
    ),
}


@pytest.mark.parametrize("fate", UNSURE)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_an_unanswered_commit_is_looked_for_and_answered_right(
    store: Store,
    writer: Writer,
    unsure: UnsureStorage,
    fate: Fate,
    write: tuple[list[Wish], list[object]],
) -> None:
    """Security rule 26."""
    batch, expected = write
    writer.commit([register("ada"), log_in("ada", "a")])
    before = contents(store)
    unsure.fates.append(fate)
    tries = unsure.commits
    answers = writer.commit(batch)
    assert kinds(answers) == expected
    assert contents(store) == before + told(answers)
    assert unsure.commits - tries == (2 if fate == "lost" else 1)
    assert kinds(writer.commit([use("ada", "a", "every"), log_in("ada", "z")]))[1] == 2


@pytest.mark.parametrize("fates", [("lost", "lost"), ("lost", "done but reported lost")])
def test_two_unanswered_commits_in_a_row_store_it_once_or_say_unavailable(
    store: Store, writer: Writer, unsure: UnsureStorage, fates: tuple[Fate, Fate]
) -> None:
    unsure.fates.extend(fates)
    answers = writer.commit([register("ada"), register("bob", "ADA")])
    if fates[1] == "lost":
        assert kinds(answers) == [Unavailable, Unavailable]
        assert contents(store) == []
        answers = writer.commit([register("ada"), register("bob", "ADA")])
    assert kinds(answers) == [1, UserIdTaken]
    assert contents(store) == told(answers)


@pytest.mark.parametrize("fate", UNSURE)
def test_what_others_stored_before_it_was_settled_changes_nothing(
    store: Store,
    writer: Writer,
    unsure: UnsureStorage,
    opened: OpenStore,
    make_writer: MakeWriter,
    fate: Fate,
) -> None:
    """Security rule 26."""
    other = make_writer(opened())
    writer.commit([register("ada"), log_in("ada", "a")])
    others: list[Answer] = []
    unsure.meanwhile = lambda: others.extend(
        other.commit([log_in("ada", "b"), register("bob"), end("ada", "a")])
    )
    unsure.fates.append(fate)
    answers = writer.commit([log_in("ada", "c"), use("ada", "a")])
    assert kinds(others) == [2, 1, 1]
    if fate == "lost":
        assert kinds(answers) == [2, InvalidToken]
        assert contents(store)[3:] == told(others) + told(answers)
    else:
        assert kinds(answers) == [2, 1]
        assert contents(store)[3:] == told(answers) + told(others)


@pytest.mark.parametrize("fate", UNSURE)
def test_a_name_is_taken_by_another_only(
    store: Store,
    writer: Writer,
    unsure: UnsureStorage,
    opened: OpenStore,
    make_writer: MakeWriter,
    fate: Fate,
) -> None:
    """Security rule 26."""
    other = make_writer(opened())
    others: list[Answer] = []
    unsure.meanwhile = lambda: others.extend(other.commit([register("other", "ada")]))
    unsure.fates.append(fate)
    answers = writer.commit([register("mine", "ADA")])
    winner, loser = (others, answers) if fate == "lost" else (answers, others)
    assert kinds(winner) == [1]
    assert kinds(loser) == [UserIdTaken]
    assert contents(store) == told(winner)


@pytest.mark.parametrize("fate", UNSURE)
def test_a_store_that_stays_away_is_unavailable_and_then_goes_on(
    store: Store, unsure: UnsureStorage, fate: Fate
) -> None:
    """Security rule 27."""
    clock = count(0, 1)
    pauses: list[float] = []
    writer = Writer(
        store.log,
        store.vault,
        store.ring,
        Policy(),
        sleep=pauses.append,
        monotonic=lambda: float(next(clock)),
    )
    unsure.fates.append(fate)
    unsure.meanwhile = lambda: setattr(unsure, "away", 100)
    answers = writer.commit([register("ada"), register("bob")])
    assert [isinstance(each, Unavailable) and each.unsure for each in answers] == [True, True]
    assert len(pauses) == SETTLE_WITHIN
    unsure.away = 0
    again = kinds(writer.commit([register("ada", "ada"), register("cy")]))
    if fate == "lost":
        assert again == [1, 1]
    else:
        assert again[1:] == [1]
        assert (user_key("bob"), 1, "user.registered") in contents(store)


def test_a_store_that_comes_back_settles_what_was_in_doubt(
    store: Store, writer: Writer, unsure: UnsureStorage
) -> None:
    """Security rule 27."""
    unsure.fates.append("done but reported lost")
    unsure.meanwhile = lambda: setattr(unsure, "away", 3)
    answers = writer.commit([register("ada")])
    assert kinds(answers) == [1]
    assert contents(store) == told(answers)


@pytest.mark.parametrize(("away", "expected"), [(1, [1, 1]), (2, [Unavailable, Unavailable])])
def test_a_connection_lost_before_the_commit_is_tried_once_more(
    store: Store, writer: Writer, unsure: UnsureStorage, away: int, expected: list[object]
) -> None:
    unsure.away = away
    answers = writer.commit([register("ada"), register("bob")])
    assert kinds(answers) == expected
    assert contents(store) == told(answers)
    assert unsure.away == 0


@pytest.mark.parametrize("fate", UNSURE)
def test_making_the_store_unanswered_leaves_one_that_opens(
    database_url: str, vault: Vault, fate: Fate
) -> None:
    storage = UnsureStorage(storage_of(database_url))
    storage.fates.append(fate)
    with pytest.raises(OutcomeUnknown):
        open_store(storage, vault, "ES256")
    store = open_store(storage, vault, "ES256")
    assert storage.commits == (2 if fate == "lost" else 1)
    assert contents(store) == []
    storage.close()


@pytest.mark.parametrize("fate", UNSURE)
def test_a_snapshot_unanswered_is_there_once(
    store: Store, writer: Writer, unsure: UnsureStorage, fate: Fate
) -> None:
    writer.commit([register("ada"), *(log_in("ada", str(n)) for n in range(49))])
    unsure.fates.append(fate)
    assert kinds(writer.commit([log_in("ada", "hundredth")])) == [2]
    with store.storage.snapshot() as rows:
        assert rows.fetch("SELECT version FROM snapshots") == [(101,)]


def erase(who: str) -> Wish:
    return Wish(commands.EraseUser(user_key(who)), meta())


@pytest.mark.parametrize("batch", [[erase("ada")], [erase("ada"), log_in("bob", "b")]])
@pytest.mark.parametrize("losses", [1, 2])
def test_a_store_that_goes_while_a_command_is_decided_is_tried_again(
    store: Store,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    batch: list[Wish],
    losses: int,
) -> None:
    """As when it goes at any other moment, whoever else is in the batch (security rule 27)."""
    writer.commit([register("ada"), register("bob", "bob")])
    forget, left = traces.forget, count(losses, -1)

    def lost(*given: Any) -> Any:
        if next(left) > 0:
            raise Lost("the server closed the connection")
        return forget(*given)

    monkeypatch.setattr(traces, "forget", lost)
    before = contents(store)
    answers = writer.commit(batch)
    if losses == 1:
        assert kinds(answers) == [1, 2][: len(batch)]
    else:
        assert kinds(answers) == [Unavailable] * len(batch)
        assert kinds(writer.commit([use("ada", "never")])) == [InvalidToken]
    with store.storage.snapshot() as rows:
        assert len(read_range(rows, 3, 10**6)) == len(before) + len(told(answers))
