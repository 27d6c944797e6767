"""Old payloads to newer shapes, shown on an event that is made up."""

from __future__ import annotations

import pytest

from domain.catalogue import EVENTS
from domain.upcasts import UPCASTS, Payload, upcast


def split_name(payload: Payload) -> Payload:
    first, _, last = str(payload["name"]).partition(" ")
    return {"first": first, "last": last, "blob": payload["blob"]}


def count_letters(payload: Payload) -> Payload:
    return {**payload, "letters": len(str(payload["first"])) + len(str(payload["last"]))}


def drop_last(payload: Payload) -> Payload:
    return {name: value for name, value in payload.items() if name != "last"}


STEPS = {
    ("guest.arrived", 1): split_name,
    ("guest.arrived", 2): count_letters,
    ("guest.arrived", 3): drop_last,
    ("guest.left", 2): split_name,
}
FIRST: Payload = {"name": "Ada Lovelace", "blob": b"\x01sealed"}
SECOND: Payload = {"first": "Ada", "last": "Lovelace", "blob": b"\x01sealed"}


def test_a_payload_goes_up_a_step_at_a_time() -> None:
    assert upcast("guest.arrived", 1, 2, FIRST, STEPS) == SECOND
    assert upcast("guest.arrived", 2, 3, SECOND, STEPS) == {**SECOND, "letters": 11}
    assert upcast("guest.arrived", 1, 3, FIRST, STEPS) == {**SECOND, "letters": 11}
    assert upcast("guest.arrived", 1, 4, FIRST, STEPS) == {
        "first": "Ada",
        "blob": b"\x01sealed",
        "letters": 11,
    }


def test_the_newest_shape_stays_as_it_is() -> None:
    assert upcast("guest.arrived", 4, 4, FIRST, STEPS) is FIRST


def test_an_upcast_leaves_what_it_was_given() -> None:
    upcast("guest.arrived", 1, 4, FIRST, STEPS)
    assert FIRST == {"name": "Ada Lovelace", "blob": b"\x01sealed"}


@pytest.mark.parametrize(("name", "schema"), [("guest.left", 1), ("guest.arrived", 0)])
def test_a_missing_step_is_not_skipped(name: str, schema: int) -> None:
    with pytest.raises(KeyError):
        upcast(name, schema, 3, FIRST, STEPS)


def test_every_released_version_has_its_upcast_and_no_other_has_one() -> None:
    old = {(name, schema) for name, cls in EVENTS.items() for schema in range(1, cls.schema)}
    assert UPCASTS.keys() == old
