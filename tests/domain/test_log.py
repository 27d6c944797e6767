"""The log's own id."""

from __future__ import annotations

import pytest

from domain import commands, events
from domain.aggregate import OF_LOG
from domain.log import Log
from domain.policy import Policy
from domain.stream import LOG
from tests.domain.specification import DISABLED, T0, given, number


def test_a_log_opens_once() -> None:
    opened = given().when(commands.OpenLog("first")).then(events.LogOpened("first"))
    opened.when(commands.OpenLog("second")).nothing()


def test_a_restored_log_goes_on_under_its_new_id() -> None:
    told = (events.LogOpened("first"), events.LogRestored("second", 1))
    assert OF_LOG.fold(number(LOG, told)) == Log(2, "second")
    given(*told).when(commands.OpenLog("third")).nothing()


def test_restoring_a_log_gives_it_its_new_id_each_time() -> None:
    restored = events.LogRestored("second", 7)
    opened = given(events.LogOpened("first"))
    opened.when(commands.RestoreLog("second", 7)).then(restored)
    given(events.LogOpened("first"), restored).when(commands.RestoreLog("third", 9)).then(
        events.LogRestored("third", 9)
    )


def test_another_event_keeps_the_id() -> None:
    assert OF_LOG.fold(number(LOG, (events.LogOpened("first"), DISABLED))) == Log(2, "first")


def test_the_log_decides_nothing_else() -> None:
    with pytest.raises(TypeError):
        OF_LOG.decide(Log(), commands.AddSigningKey("a", "ES256", {}), Policy(), T0)
