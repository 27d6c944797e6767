"""Taking a name and a secret."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.errors import Conflict
from domain.events import Event
from domain.sealed import Clear
from tests.domain.specification import ADA, DISABLED, ERASED, REGISTERED, given

REGISTER = commands.RegisterUser(ADA, Clear("Ada"), Clear("$argon2id$of-ada"))


def test_registering_takes_the_name_and_the_secret() -> None:
    given().when(REGISTER).then(events.UserRegistered(Clear("Ada"), Clear("$argon2id$of-ada")))


@pytest.mark.parametrize("since", [(), (DISABLED,), (ERASED,)])
def test_a_user_key_is_never_used_twice(since: tuple[Event, ...]) -> None:
    given(REGISTERED, *since).when(REGISTER).refused(Conflict)


def test_a_command_shows_neither_name_nor_secret() -> None:
    """Security rule 19."""
    assert "Ada" not in repr(REGISTER)
    assert "argon2" not in repr(REGISTER)
    assert "Ada" not in str(given().when(REGISTER).decided())
