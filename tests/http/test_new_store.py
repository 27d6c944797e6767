"""A store that was just made has nobody in it: whoever comes first registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.http.steps import register
from tests.store.intruding import intrude

if TYPE_CHECKING:
    from tests.http.conftest import Starting

OWN = ["log.opened", "signing_key.added", "signing_key.activated"]
OF_PEOPLE = ("user_keys", "user_ids", "user_directory_v1", "token_lookup_v1", "known_networks")


def test_a_service_that_was_just_made_has_no_account(
    start_anywhere: Starting, database_url: str
) -> None:
    """Nor once it was stopped and started again; what is counted then is somebody's."""
    start_anywhere()
    start_anywhere.stop()
    api = start_anywhere()
    assert people(database_url) == (OWN, [0] * len(OF_PEOPLE))
    register(api)
    topics, (keys, names, directory, *_) = people(database_url)
    assert topics == [*OWN, "user.registered"]
    assert (keys, names, directory) == (2, 1, 1)


def people(url: str) -> tuple[list[object], list[object]]:
    """Every event's topic, and how many rows there are of people."""
    with intrude(url) as intruder:
        topics = intruder.run("SELECT topic FROM events ORDER BY position")
        counts = [intruder.run(f"SELECT count(*) FROM {each}") for each in OF_PEOPLE]
    return [topic for (topic,) in topics], [count for ((count,),) in counts]
