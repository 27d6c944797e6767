"""Recorded events to bytes and back; and bytes that are no event."""

from __future__ import annotations

import base64
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import events
from domain.catalogue import EVENTS, UnknownEvent
from domain.codec import ORIGIN, StoredForm, _read, _read_at_once, decode, encode
from domain.errors import Damage
from domain.events import Event
from domain.sealed import Clear
from domain.stream import SYSTEM, Meta, Recorded
from tests.domain import samples
from tests.domain.samples import ANY_EVENT, ANY_META, SAMPLES
from tests.domain.specification import ADA, META, REGISTERED, T0

Members = dict[str, object]
Blobs = dict[str, bytes]


def read(form: StoredForm) -> Recorded:
    return decode(ADA, 2, 7, T0, form)


def parts(event: Event, meta: Meta) -> tuple[StoredForm, Members, Blobs]:
    """A sample's stored form, its clear data and its blobs."""
    form = encode(event, meta)
    data = cast("Members", msgspec.json.decode(form.clear)["data"])
    return form, data, msgspec.msgpack.decode(form.sealed) if form.sealed else {}


def put(form: StoredForm, data: Members, blobs: Blobs) -> StoredForm:
    """The form with other members."""
    clear = {**msgspec.json.decode(form.clear), "data": data}
    return form._replace(clear=msgspec.json.encode(clear), sealed=msgspec.msgpack.encode(blobs))


def refused(form: StoredForm) -> None:
    with pytest.raises(Damage, match="position 7"):
        read(form)


each_sample = pytest.mark.parametrize(
    ("event", "meta"), SAMPLES, ids=[event.name for event, _ in SAMPLES]
)


def test_there_is_a_sample_of_every_event() -> None:
    assert [type(event) for event, _ in SAMPLES] == list(EVENTS.values())


@each_sample
def test_an_event_comes_back_in_its_place(event: Event, meta: Meta) -> None:
    assert read(encode(event, meta)) == Recorded(ADA, 2, 7, T0, meta, event)


@settings(max_examples=400)
@given(ANY_EVENT, ANY_META)
def test_any_event_comes_back_and_to_the_same_bytes(event: Event, meta: Meta) -> None:
    form = encode(event, meta)
    recorded = read(form)
    assert (recorded.event, recorded.meta) == (event, meta)
    assert type(recorded.event) is type(event)
    assert encode(recorded.event, recorded.meta) == form


@settings(max_examples=400)
@given(ANY_EVENT, ANY_META, st.integers(min_value=0), st.binary(max_size=3))
def test_what_is_read_at_once_is_what_is_read_member_by_member(
    event: Event, meta: Meta, place: int, torn: bytes
) -> None:
    """Of bytes that somebody changed as well."""
    form = encode(event, meta)
    place %= len(form.clear)
    changed = form.clear[:place] + torn + form.clear[place + len(torn) :]
    for clear in (form.clear, changed):
        found = _read_at_once(type(event), form._replace(clear=clear))
        if found is not None:
            assert found == _read(type(event), form._replace(clear=clear), {}, 7)
    assert (_read_at_once(type(event), form) is None) == bool(event.seals)


@given(ANY_EVENT, ANY_META)
def test_a_stored_form_is_named_and_versioned(event: Event, meta: Meta) -> None:
    form = encode(event, meta)
    assert (form.topic, form.schema) == (event.name, event.schema)
    assert list(msgspec.json.decode(form.clear)) == ["v", "actor", "request_id", "data"]


@each_sample
def test_clear_bytes_hold_nothing_sealed(event: Event, meta: Meta) -> None:
    """Security rule 20."""
    form, data, blobs = parts(event, meta)
    assert set(blobs) == {*event.seals, *([ORIGIN] if meta.origin else [])}
    assert not data.keys() & blobs.keys()
    for blob in blobs.values():
        assert not any(text in form.clear for text in samples.texts_of(blob))


def test_where_there_is_nothing_personal_nothing_is_sealed() -> None:
    assert encode(events.UserDisabled(), META).sealed is None
    assert encode(events.UserDisabled(), Meta(SYSTEM, "", b"\x01")).sealed is not None


@pytest.mark.parametrize(
    "clear",
    [
        b'{"v":2,"actor":"system","request_id":"ab","data":{}}',
        b'{"v":2,"actor":"system","request_id":"ab","data":{},"trace":"t"}',
    ],
)
def test_a_newer_envelope_is_for_a_newer_release(clear: bytes) -> None:
    with pytest.raises(UnknownEvent):
        read(StoredForm("user.disabled", 1, clear, None))


def test_a_sealed_member_has_one_name() -> None:
    """Its blob is bound to the name, so the name is the attribute's and never changes."""
    for event in EVENTS.values():
        names = {field.name: field.encode_name for field in msgspec.structs.fields(event)}
        assert all(names[field] == field for field in event.seals)


def test_known_bytes_stay_as_they_are() -> None:
    form = encode(events.SigningKeyActivated("k", T0), Meta(SYSTEM, "ab"))
    clear = b'{"v":1,"actor":"system","request_id":"ab","data":{"kid":"k","from":1795500000000000}}'
    assert form == StoredForm("signing_key.activated", 1, clear, None)


def test_a_value_that_nobody_sealed_is_not_stored() -> None:
    """Security rule 20."""
    with pytest.raises(TypeError):
        encode(REGISTERED, META)
    with pytest.raises(TypeError):
        encode(events.UserDisabled(), Meta(SYSTEM, "", Clear("192.0.2.1")))


@pytest.mark.parametrize(
    "topic", ["", "user.promoted", "User.Disabled", "domain.events:UserDisabled", "os.system"]
)
def test_an_unknown_name_is_resolved_in_no_way(topic: str) -> None:
    form = encode(events.UserDisabled(), META)
    with pytest.raises(UnknownEvent, match="position 7"):
        read(form._replace(topic=topic))


@each_sample
def test_a_newer_version_is_unknown_and_one_before_the_first_is_damage(
    event: Event, meta: Meta
) -> None:
    form = encode(event, meta)
    with pytest.raises(UnknownEvent, match=f"version {event.schema + 1}"):
        read(form._replace(schema=event.schema + 1))
    refused(form._replace(schema=0))
    refused(form._replace(schema=-1))


@each_sample
def test_a_missing_member_is_damage(event: Event, meta: Meta) -> None:
    form, data, blobs = parts(event, meta)
    for member in data:
        refused(put(form, {key: data[key] for key in data if key != member}, blobs))
    for member in event.seals:
        refused(put(form, data, {key: blobs[key] for key in blobs if key != member}))


@each_sample
def test_an_unknown_member_is_damage(event: Event, meta: Meta) -> None:
    form, data, blobs = parts(event, meta)
    refused(put(form, {**data, "extra": 1}, blobs))
    refused(put(form, data, {**blobs, "extra": b"\x01"}))
    refused(put(form, {**data, ORIGIN: "a"}, blobs))
    refused(put(form, {**data, "type": event.name}, blobs))


@each_sample
def test_a_sealed_member_in_clear_is_damage(event: Event, meta: Meta) -> None:
    form, data, blobs = parts(event, meta)
    for member in event.seals:
        rest = {key: blobs[key] for key in blobs if key != member}
        text = base64.b64encode(blobs[member]).decode()
        refused(put(form, {**data, member: text}, rest))
        refused(put(form, {**data, member: {"text": "Ada"}}, rest))
        refused(put(form, {**data, member: None}, rest))
        refused(put(form, {**data, member: text}, blobs))


@each_sample
def test_a_clear_member_that_is_sealed_is_damage(event: Event, meta: Meta) -> None:
    form, data, blobs = parts(event, meta)
    for member in data:
        rest = {key: data[key] for key in data if key != member}
        refused(put(form, rest, {**blobs, member: b"\x01blob"}))
        refused(put(form, data, {**blobs, member: b"\x01blob"}))


@each_sample
def test_a_value_of_another_kind_is_damage(event: Event, meta: Meta) -> None:
    form, data, blobs = parts(event, meta)
    for member in data:
        for wrong in (None, True, 1.5, {"a": 1}, [1], [["a"]]):
            refused(put(form, {**data, member: wrong}, blobs))
        other = 1 if isinstance(data[member], str) else "1"
        refused(put(form, {**data, member: other}, blobs))


@pytest.mark.parametrize(
    ("event", "member"),
    [
        (events.UserLoggedIn("s", "secret"), "by"),
        (events.RefreshTokenRevoked("s", "owner"), "why"),
        (events.SigningKeyAdded("k", "ES256", {}), "algorithm"),
    ],
)
def test_a_word_that_isnt_in_the_list_is_damage(event: Event, member: str) -> None:
    form, data, blobs = parts(event, META)
    refused(put(form, {**data, member: "none"}, blobs))


NESTED = b'{"actor":"","request_id":"","data":{"a":' + b"[" * 100_000


@pytest.mark.parametrize(
    "clear",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"actor":"a","request_id":"r"}',
        b'{"actor":"a","data":{}}',
        b'{"actor":"a","request_id":"r","data":[]}',
        b'{"actor":1,"request_id":"r","data":{}}',
        b'{"actor":"a","request_id":"r","data":{},"more":1}',
        b'{"actor":"a","request_id":"r","data":{}',
        b'{"actor":"a","request_id":"r","data":{}} x',
        b'{"actor":"\xff","request_id":"r","data":{}}',
        pytest.param(NESTED, id="nested"),
    ],
)
def test_bytes_that_are_no_clear_part_are_damage(clear: bytes) -> None:
    refused(StoredForm("user.disabled", 1, clear, None))


@pytest.mark.parametrize(
    "sealed", [b"", b"\xc0", b"\x90", b"\xc1", b"\x81", b"\x81\xa1a\x01", b"\x80\x80", b'{"a":"b"}']
)
def test_bytes_that_are_no_sealed_part_are_damage(sealed: bytes) -> None:
    refused(encode(events.UserDisabled(), META)._replace(sealed=sealed))


def test_a_person_missing_from_the_sealed_part_is_damage() -> None:
    event, meta = SAMPLES[0]
    refused(encode(event, meta)._replace(sealed=None))


@given(st.binary(max_size=60), st.one_of(st.none(), st.binary(max_size=60)))
def test_no_bytes_whatever_do_more_than_be_damage(clear: bytes, sealed: bytes | None) -> None:
    refused(StoredForm("user.registered", 1, clear, sealed))


def test_damage_shows_no_clear_value() -> None:
    """Security rule 19."""
    form, data, blobs = parts(*SAMPLES[0])
    with pytest.raises(Damage) as caught:
        read(put(form, {**data, "user_id": {"text": "canary"}}, {ORIGIN: blobs[ORIGIN]}))
    assert "canary" not in str(caught.value)
