"""Streams, actors and where a request came from."""

from __future__ import annotations

import msgspec
import pytest
from rich.pretty import pretty_repr

from domain import events
from domain.sealed import Clear, sealed
from domain.stream import (
    ANONYMOUS,
    CLI,
    LOG,
    SIGNING_KEYS,
    SYSTEM,
    Meta,
    Origin,
    actor_of,
    is_user_stream,
    user_key_of,
)
from tests.domain.specification import ADA


def test_an_actor_that_is_a_user_names_the_user() -> None:
    assert actor_of(ADA) == f"user:{ADA}"
    assert user_key_of(actor_of(ADA)) == ADA


@pytest.mark.parametrize("actor", [ANONYMOUS, CLI, SYSTEM, ADA])
def test_other_actors_name_no_user(actor: str) -> None:
    assert user_key_of(actor) is None


def test_only_users_have_user_streams() -> None:
    assert is_user_stream(ADA)
    assert not is_user_stream(LOG)
    assert not is_user_stream(SIGNING_KEYS)


@pytest.mark.parametrize(
    "origin",
    [
        Origin("192.0.2.1", "curl/8"),
        Origin("2001:db8::1"),
        Origin(user_agent="Ünicode \u2028 agent"),
    ],
)
def test_an_origin_is_sealed_as_text_and_read_back(origin: Origin) -> None:
    clear = origin.clear()
    assert clear is not None
    assert msgspec.json.decode(clear.text, type=Origin) == origin


def test_an_origin_with_nothing_to_tell_needs_no_seal() -> None:
    assert Origin().clear() is None


def test_a_clear_value_is_shown_by_no_repr() -> None:
    """Security rule 19."""
    registered = events.UserRegistered(Clear("canary"), Clear("canary"))
    meta = Meta(ANONYMOUS, "0" * 32, Origin("canary", "canary").clear())
    for value in (Clear("canary"), registered, meta):
        for shown in (repr(value), str(value), f"{value}", pretty_repr(value)):
            assert "canary" not in shown
            assert "…" in shown


def test_a_clear_value_isnt_taken_for_a_sealed_one() -> None:
    with pytest.raises(TypeError) as caught:
        sealed(Clear("canary"))
    assert "canary" not in str(caught.value)
    assert sealed(b"\x01blob") == b"\x01blob"
