"""Every person in the log: what is sealed opens, or was erased, and the name is reserved.

Whose key is missing is known only at the end of the log, where it may say that they were erased.
Knows no view.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.vault import PERSON, Ring, name_mac, open_sealed
from app.verifying.findings import Findings
from app.verifying.keys import Keys
from app.verifying.log import Step
from domain.codec import ORIGIN
from domain.errors import Damage, InvalidRequest
from domain.events import UserErased, UserRegistered
from domain.sealed import sealed
from domain.stream import Recorded, is_user_stream, user_key_of
from domain.user_id import prepare
from projections.comparison import spelled
from projections.storage import Rows, Value

_RESERVATIONS: Final = "SELECT name_mac, user_key FROM user_ids ORDER BY user_key COLLATE BINARY"
_NETWORKS: Final = "SELECT DISTINCT user_key FROM known_networks"


class _Person:
    """What the log says of one; `needs_at` is where it first needed a key that isn't there."""

    __slots__ = ("credential", "erased", "mac", "needs_at", "registered")

    def __init__(self) -> None:
        self.registered = False
        self.erased = False
        self.credential = 0
        self.mac: bytes | None = None
        self.needs_at = 0

    @property
    def is_there(self) -> bool:
        """Registered, and not erased."""
        return self.registered and not self.erased


class People:
    """Takes the log's steps in their order, then the tables that are about people."""

    def __init__(self, keys: Keys, findings: Findings) -> None:
        self._keys = keys
        self._findings = findings
        name = keys.ring.get("name")
        self._ring = None if name is None else Ring(name, b"", b"", b"")
        self._people: dict[str, _Person] = {}

    def take(self, step: Step) -> None:
        """The next event."""
        recorded = step.recorded
        if recorded is None:
            return
        stream, event = recorded.stream, recorded.event
        if is_user_stream(stream):
            person = self._person(stream)
            if isinstance(event, UserRegistered):
                person.registered = True
            elif isinstance(event, UserErased):
                person.erased = True
            if "credential" in event.seals.values():
                person.credential = recorded.version
        for field, blob, owner, version in _seals(recorded):
            text = self._opened(step, field, blob, owner, version)
            if text is not None and field == "user_id":
                self._reserve(step, owner, text)

    def finish(self, rows: Rows) -> None:
        """Keys, reservations and known networks are those of the people in the log."""
        self._check_keys()
        self._check_reservations(rows)
        for batch in rows.scan(_NETWORKS):
            for (user_key,) in batch:
                if not self._is_there(user_key):
                    text = "The log knows no such user that wasn't erased."
                    self._findings.add("known_networks", user_key, text)

    def is_erased(self, user_key: str) -> bool:
        """Whether the log says so."""
        return user_key in self._people and self._people[user_key].erased

    def _person(self, user_key: str) -> _Person:
        found = self._people.get(user_key)
        if found is None:
            found = self._people[user_key] = _Person()
        return found

    def _is_there(self, user_key: Value) -> bool:
        return user_key in self._people and self._people[user_key].is_there

    def _opened(self, step: Step, field: str, blob: bytes, owner: str, version: int) -> str | None:
        record, keys = step.record, self._keys
        key = keys.credentials.get((owner, version)) if version else keys.persons.get(owner)
        if key is None:
            # Of credentials only the newest one's key is there: that is looked at in the end.
            if version == PERSON and step.proved and (owner, PERSON) not in keys.broken:
                person = self._person(owner)
                person.needs_at = person.needs_at or record.position
            return None
        try:
            return open_sealed(key, blob, record.stream, field, at=(record.topic, record.version))
        except Damage as error:
            if step.proved:
                self._findings.add("events", record.position, error.detail)
            return None

    def _reserve(self, step: Step, user_key: str, text: str) -> None:
        if self._ring is None:
            return
        try:
            self._person(user_key).mac = name_mac(self._ring, prepare(text))
        except InvalidRequest:
            self._findings.add("events", step.record.position, "The user_id here is no name.")

    def _check_keys(self) -> None:
        keys, told = self._keys, self._findings.add
        for user_key, person in self._people.items():
            if person.needs_at and not person.erased:
                text = f"Missing, though nobody erased it: needed at position {person.needs_at}."
                told("user_keys", spelled(user_key, PERSON), text)
            newest = (user_key, person.credential)
            known = newest in keys.credentials or newest in keys.broken
            if person.credential and person.is_there and not known:
                told("user_keys", spelled(*newest), "Missing: the newest secret can't be read.")
        for user_key in keys.persons:
            if not self._is_there(user_key):
                text = "Too many: the log knows no such user that wasn't erased."
                told("user_keys", spelled(user_key, PERSON), text)
        for user_key, version in keys.credentials:
            if not self._is_there(user_key) or self._people[user_key].credential != version:
                text = "Too many: the log knows no such secret, or it was replaced or erased."
                told("user_keys", spelled(user_key, version), text)

    def _check_reservations(self, rows: Rows) -> None:
        told = self._findings.add
        found: set[Value] = set()
        for batch in rows.scan(_RESERVATIONS):
            for mac, user_key in batch:
                found.add(user_key)
                if not self._is_there(user_key):
                    text = f"Too many: the log knows no {spelled(user_key)} that wasn't erased."
                    told("user_ids", mac, text)
                    continue
                expected = self._people[str(user_key)].mac
                if expected is not None and expected != mac:
                    told("user_ids", mac, f"{spelled(user_key)} has another name in the log.")
        for user_key, person in self._people.items():
            if person.is_there and user_key not in found:
                key = user_key if person.mac is None else person.mac
                told("user_ids", key, f"Missing: the name of {user_key} isn't reserved.")


def _seals(recorded: Recorded) -> Iterator[tuple[str, bytes, str, int]]:
    """What an event holds sealed: field, blob, whose key, and the key's version."""
    event = recorded.event
    for field, by in event.seals.items():
        version = PERSON if by == "person" else recorded.version
        yield field, sealed(getattr(event, field)), recorded.stream, version
    origin = recorded.meta.origin
    if origin is not None:
        owner = user_key_of(recorded.meta.actor) or recorded.stream
        yield ORIGIN, sealed(origin), owner, PERSON
