"""The log through the library's own application: replay to any version, and the whole in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.eventstore.recorders import LogReader
from domain.aggregate import USER
from domain.stream import Recorded
from domain.user import User
from tests.store.wishing import log_in, permit, register, user_key

if TYPE_CHECKING:
    from app.store import Store
    from app.writer import Writer


def fold(state: Any, history: Any) -> Any:
    return USER.fold(history, state)


def test_a_user_is_replayed_to_any_version(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), log_in("ada", "one"), permit("ada", "reports:read")])
    reader = LogReader(store.log)
    found: list[User] = [
        reader.repository.get(user_key("ada"), version=version, projector_func=fold)
        for version in range(1, 5)
    ]
    assert [user.version for user in found] == [1, 2, 3, 4]
    assert [len(user.sessions) for user in found] == [0, 1, 1, 1]
    assert [user.permissions for user in found] == [(), (), (), ("reports:read",)]


def test_the_notification_log_has_every_position_once(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), register("bob")])
    reader = LogReader(store.log)
    rows = reader.notification_log.select(1, 10)
    assert [row.id for row in rows] == list(range(1, len(rows) + 1))
    events: list[Any] = [reader.mapper.to_domain_event(row) for row in rows]
    assert all(isinstance(event, Recorded) for event in events)
    assert [event.event.name for event in events][-2:] == ["user.registered"] * 2
