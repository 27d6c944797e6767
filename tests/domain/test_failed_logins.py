"""Recording how often a wrong secret was shown."""

from __future__ import annotations

import msgspec
import pytest

from domain import commands
from domain.aggregate import USER
from domain.events import Event, UserLoginFailed
from domain.policy import SECOND
from tests.domain.specification import ADA, DISABLED, REGISTERED, T0, given, login, number

FAILED = commands.RecordFailedLogins(ADA, 3, T0, T0 + SECOND)


@pytest.mark.parametrize("since", [(), login(1), (DISABLED,)])
def test_failed_logins_are_recorded(since: tuple[int | Event, ...]) -> None:
    given(REGISTERED, *since).when(FAILED).then(UserLoginFailed(3, T0, T0 + SECOND))


def test_failed_logins_of_nobody_are_not_recorded() -> None:
    given().when(FAILED).nothing()


def test_failed_logins_change_nothing_but_the_version() -> None:
    told = (REGISTERED, *login(1))
    before = USER.fold(number(ADA, told))
    after = USER.fold(number(ADA, (*told, UserLoginFailed(3, T0, T0 + SECOND))))
    assert after == msgspec.structs.replace(before, version=4)
