"""Recorded event to canonical bytes and back.

Knows no database and no cipher. Clear members and sealed ones are kept apart, so that erasing
a person's key leaves the rest of the event readable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from domain.catalogue import EVENTS, UnknownEvent
from domain.errors import Damage
from domain.events import Event
from domain.sealed import sealed
from domain.stream import Meta, Recorded
from domain.upcasts import UPCASTS, upcast

ORIGIN: Final = "@origin"
"""The member of the sealed part that holds where the request came from."""


class StoredForm(NamedTuple):
    """What the log keeps of an event besides its place and time.

    `clear` is JSON `{"v", "actor", "request_id", "data"}`; `sealed` is a MessagePack map from
    member to blob, or None when there is nothing personal.
    """

    topic: str
    schema: int
    clear: bytes
    sealed: bytes | None


ENVELOPE: Final = 1
"""The version of what stands around an event's data; a newer one is for a newer release."""


class _Version(msgspec.Struct, frozen=True):
    v: int


T = TypeVar("T")


class _Clear(msgspec.Struct, Generic[T], frozen=True, forbid_unknown_fields=True):
    v: int
    actor: str
    request_id: str
    data: T


_Members = dict[str, object]
_encode_json = msgspec.json.Encoder().encode
_encode_msgpack = msgspec.msgpack.Encoder().encode
_decode_version = msgspec.json.Decoder(_Version).decode
_decode_clear = msgspec.json.Decoder(_Clear[_Members]).decode
_decode_sealed = msgspec.msgpack.Decoder(dict[str, bytes]).decode

_DECODE_EVENT: Final[dict[type[Event], Callable[[bytes], _Clear[Event]]]] = {
    cls: msgspec.json.Decoder(_Clear[cls]).decode  # type: ignore[valid-type]
    for cls in EVENTS.values()
    if not cls.seals
}
"""Events with nothing sealed are read in one go, which is most of the log."""
_PLAIN: Final = {
    cls: tuple(
        (field.name, field.encode_name)
        for field in msgspec.structs.fields(cls)
        if field.name not in cls.seals
    )
    for cls in EVENTS.values()
}


def encode(event: Event, meta: Meta) -> StoredForm:
    """The canonical bytes of an event whose personal values are sealed already."""
    data = {name: getattr(event, attribute) for attribute, name in _PLAIN[type(event)]}
    blobs = {field: sealed(getattr(event, field)) for field in event.seals}
    if meta.origin is not None:
        blobs[ORIGIN] = sealed(meta.origin)
    return StoredForm(
        event.name,
        event.schema,
        _encode_json(_Clear(ENVELOPE, meta.actor, meta.request_id, data)),
        _encode_msgpack(blobs) if blobs else None,
    )


def decode(stream: str, version: int, position: int, time: int, form: StoredForm) -> Recorded:
    """Read a stored event in its newest shape.

    Raises `UnknownEvent` for a name or version that this release doesn't have, `Damage` for
    bytes that are not such an event: unknown or missing members are refused.
    """
    cls = EVENTS.get(form.topic)
    if cls is None or form.schema > cls.schema:
        msg = f"event {form.topic} version {form.schema} at position {position}"
        raise UnknownEvent(msg)
    try:
        blobs: dict[str, bytes] = _decode_sealed(form.sealed) if form.sealed is not None else {}
        origin = blobs.pop(ORIGIN, None)
        clear = (None if blobs else _read_at_once(cls, form)) or _read(cls, form, blobs, position)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"The event at position {position} of the log can't be read: {error}"
        raise Damage(msg) from error
    meta = Meta(clear.actor, clear.request_id, origin)
    return Recorded(stream, version, position, time, meta, clear.data)


def _read_at_once(cls: type[Event], form: StoredForm) -> _Clear[Event] | None:
    """The newest shape of an event with nothing sealed; None for whatever has to be looked at."""
    decode_event = _DECODE_EVENT.get(cls)
    if decode_event is None or form.schema != cls.schema:
        return None
    try:
        clear = decode_event(form.clear)
    except ValueError:
        return None
    return clear if clear.v <= ENVELOPE else None


def _read(
    cls: type[Event], form: StoredForm, blobs: dict[str, bytes], position: int
) -> _Clear[Event]:
    """An event of any shape, by way of its members."""
    clear = _envelope(form.clear, position)
    payload = upcast(form.topic, form.schema, cls.schema, _whole(clear.data, blobs), UPCASTS)
    event = msgspec.convert(payload, cls, builtin_types=(bytes,))
    for field in cls.seals:
        sealed(getattr(event, field))
    return _Clear(clear.v, clear.actor, clear.request_id, event)


def _envelope(content: bytes, position: int) -> _Clear[_Members]:
    try:
        clear = _decode_clear(content)
        newer = clear.v > ENVELOPE
    except msgspec.ValidationError:
        newer = _decode_version(content).v > ENVELOPE
        if not newer:
            raise
    if newer:
        msg = f"an event in a newer envelope at position {position}"
        raise UnknownEvent(msg)
    return clear


def _whole(data: dict[str, object], blobs: dict[str, bytes]) -> dict[str, object]:
    if not blobs:
        return data
    if blobs.keys() & data.keys():
        msg = "a member is both clear and sealed"
        raise ValueError(msg)
    return {**data, **blobs}
