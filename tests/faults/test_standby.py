"""PostgreSQL with a standby: what is answered with success is on both disks.

The long proofs of `tests.prove` about it in their short form, and one case by itself.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from app.store import open_store, storage_of
from app.vault import Vault
from app.writer import Writer
from domain.policy import Policy
from tests.faults.holding import holds
from tests.postgres_pair import PostgresPair
from tests.prove import cut_off, failover, restarted
from tests.prove.proxy import Proxy
from tests.running import MASTER
from tests.store.wishing import log_in, register
from tests.waiting import until

if TYPE_CHECKING:
    from app.writer import Answer

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.mark.long
def test_a_restarted_primary_s_commit_counts_once_the_standby_has_it() -> None:
    """Security rules 25 and 26: a restart lets all see what had been waiting for the standby."""
    answers: list[Answer] = []
    with PostgresPair() as pair:
        with Proxy("127.0.0.1", pair.primary.port) as wire:
            pair.through = {pair.primary.port: wire.port}
            pair.rejoin()
            store = open_store(storage_of(pair.create_database()), Vault(MASTER), "ES256")
            writer = Writer(store.log, store.vault, store.ring, Policy())
            assert not isinstance(writer.commit([register("ada")])[0], Exception)
            wire.hold()
            thread = threading.Thread(
                target=lambda: answers.extend(writer.commit([log_in("ada", "unheard")]))
            )
            thread.start()
            until(lambda: pair.primary.psql(_WAITING), lambda found: found == [(1,)])
            pair.primary.restart("immediate")
            until(lambda: bool(answers) or pair.primary.psql(_WAITING) == [(1,)])
            assert answers == []
            pair.lose_primary()
        pair.fail_over()
        thread.join()
        with store.storage.snapshot() as rows:
            stored = rows.fetch("SELECT 1 FROM events WHERE topic = 'user.logged_in'")
        store.storage.close()
    assert len(answers) == 1
    assert bool(stored) or isinstance(answers[0], Exception)


def test_a_restarted_postgresql_costs_a_503_and_nothing_else(postgres_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(restarted, postgres_url)


def test_a_wire_that_is_cut_silent_or_slow_costs_a_503_and_nothing_else(postgres_url: str) -> None:
    """Security rule 27, in its short form."""
    holds(cut_off, postgres_url)


def test_a_failover_to_a_synchronous_standby_loses_nothing(postgres_url: str) -> None:
    """Security rules 25 and 30, in their short form."""
    holds(failover, postgres_url)
