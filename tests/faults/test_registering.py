"""One name has one owner, whoever asks for it at the same moment."""

from __future__ import annotations

from tests.faults.holding import holds
from tests.prove import register_race


def test_of_64_who_register_one_name_at_once_one_has_it(database_url: str) -> None:
    holds(register_race, database_url)
