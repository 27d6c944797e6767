"""Nothing that holds a secret shows it when it is printed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from rich.pretty import pretty_repr

from app.hidden import Hidden
from app.http import session, user
from app.vault import Ring

CANARY = "walnut orbit teacup"
MODULES = (session, user)
"""Their Structs are found among the subclasses."""


def hidden(cls: type[Hidden] = Hidden) -> Iterator[type[Hidden]]:
    for each in cls.__subclasses__():
        yield each
        yield from hidden(each)


def test_what_takes_and_gives_secrets_is_hidden() -> None:
    names = {each.__name__ for each in hidden()}
    assert {"NameAndSecret", "KeyAndSecret", "RefreshRequest", "Tokens", "AccessToken"} <= names


@pytest.mark.parametrize("cls", list(hidden()))
def test_no_repr_shows_a_secret(cls: type[Hidden]) -> None:
    """Security rule 19."""
    values = {str: CANARY, bytes: CANARY.encode()}
    held = cls(**{each.name: values.get(each.type, 0) for each in msgspec.structs.fields(cls)})
    for shown in (repr(held), f"{held}", pretty_repr(held), repr([held]), repr({"a": held})):
        assert CANARY not in shown
        assert cls.__name__ in shown or "held" in shown


def test_the_service_s_own_keys_are_not_shown() -> None:
    """Security rule 19."""
    ring = Ring(*(b"walnut%d" % n for n in range(4)))
    assert "walnut" not in repr(ring)
    assert "walnut" not in pretty_repr([ring])
