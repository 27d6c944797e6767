"""The closed list of what a log may hold."""

from __future__ import annotations

import pytest

from domain.catalogue import EVENTS, catalogue
from domain.events import Event, UserDisabled

NAMES = {
    "log.opened",
    "log.restored",
    "refresh_token.issued",
    "refresh_token.repeated",
    "refresh_token.reuse_detected",
    "refresh_token.revoked",
    "refresh_token.rotated",
    "refresh_token.used",
    "signing_key.activated",
    "signing_key.added",
    "signing_key.retired",
    "signing_key.withdrawn",
    "user.disabled",
    "user.enabled",
    "user.erased",
    "user.logged_in",
    "user.login_failed",
    "user.permissions_set",
    "user.registered",
    "user.secret_changed",
    "user.secret_rehashed",
}
"""Names never change, and none goes: a log may hold it."""


def subclasses(cls: type[Event]) -> set[type[Event]]:
    return set(cls.__subclasses__()).union(*(subclasses(sub) for sub in cls.__subclasses__()))


def of_the_product(cls: type[Event]) -> bool:
    return cls.__module__.startswith("domain.")


def test_the_catalogue_holds_every_name_ever_released() -> None:
    assert EVENTS.keys() == NAMES


def test_every_event_class_is_in_the_catalogue() -> None:
    assert set(EVENTS.values()) == set(filter(of_the_product, subclasses(Event)))


def test_a_name_is_its_own_classs() -> None:
    assert all(cls.name == name for name, cls in EVENTS.items())
    assert all("name" in vars(cls) for cls in EVENTS.values())


def test_two_events_of_one_name_are_refused() -> None:
    class Twin(Event, frozen=True):
        name = "user.disabled"

    with pytest.raises(ValueError, match=r"user\.disabled"):
        catalogue([UserDisabled, Twin])


def test_exactly_the_personal_fields_are_sealed() -> None:
    for cls in EVENTS.values():
        personal = {name for name, kind in cls.__annotations__.items() if str(kind) == "Personal"}
        assert cls.seals.keys() == personal
        assert set(cls.seals.values()) <= {"person", "credential"}


def test_an_event_is_frozen() -> None:
    with pytest.raises(AttributeError):
        EVENTS["log.opened"]("a").log_id = "b"  # type: ignore[attr-defined]
