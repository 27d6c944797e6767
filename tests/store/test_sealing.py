"""What is personal at rest: sealed, bound to its place, and nowhere in clear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app import vault as vault_module
from app.eventstore.log import read_stream
from app.vault import (
    PERSON,
    PERSON_KEYS,
    MasterKey,
    Place,
    Vault,
    Wrapped,
    name_mac,
    open_sealed,
    seal,
)
from domain.errors import Damage
from domain.stream import actor_of
from domain.user_id import prepare
from projections.user_directory import CREDENTIAL_BY_KEY, CREDENTIAL_BY_NAME, CredentialRow
from tests.store.conftest import MASTER
from tests.store.intruding import dump, intrude
from tests.store.wishing import HASH, IP, USER_AGENT, log_in, permit, register, use, user_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store import Store
    from app.writer import Writer
    from projections.storage import Rows
    from tests.store.conftest import OpenStore

ADA = "Ada-Canary-Lovelace"


def person_key(rows: Rows, vault: Vault, who: str) -> bytes:
    """The data key of a user, as any reader unwraps it."""
    ((key, master_id, blob),) = rows.fetch(PERSON_KEYS % "?", (user_key(who),))
    assert isinstance(blob, bytes)
    return vault.unwrap_user_key(str(key), PERSON, Wrapped(str(master_id), blob))


def shown_name(store: Store, who: str) -> str:
    """The name that the service shows for a user."""
    with store.storage.snapshot() as rows:
        row = CredentialRow.of(rows.fetch(CREDENTIAL_BY_KEY, (b"", user_key(who)))[0])
        assert row.user_id is not None
        return open_sealed(person_key(rows, store.vault, who), row.user_id, row.user_key, "user_id")


def put_one_in_the_others_place(url: str, one: str, other: str) -> None:
    """Copy one user's keys and sealed values over another's, as whoever has a dump could."""
    names = (user_key(one), user_key(other))
    with intrude(url) as intruder:
        for column in ("user_id", "secret_hash"):
            intruder.run(
                f"UPDATE user_directory_v1 SET {column} = (SELECT d.{column} "
                "FROM user_directory_v1 d WHERE d.user_key = ?) WHERE user_key = ?",
                names,
            )
        intruder.run(
            "UPDATE user_keys SET wrapped = (SELECT k.wrapped FROM user_keys k "
            "WHERE k.user_key = ? AND k.version = user_keys.version) WHERE user_key = ?",
            names,
        )


def test_a_dump_shows_no_person_and_no_hash(
    store: Store, writer: Writer, database_url: str
) -> None:
    """Security rule 20; a permission, which is no secret, is the control of the search."""
    writer.commit([register(ADA)])
    writer.commit([log_in(ADA, "a"), permit(ADA, "canary.permission")])
    writer.commit([use(ADA, "a")])
    found = dump(database_url)
    assert b"canary.permission" in found
    assert user_key(ADA).encode() in found
    hidden = [ADA, prepare(ADA), IP, USER_AGENT, HASH, "$argon2", "argon2id"]
    secret = [each.encode() for each in hidden] + [
        MASTER,
        *store.ring,
        *(each.encode("utf-16-le") for each in hidden),
    ]
    assert [each for each in secret if each.lower() in found.lower()] == []


def test_a_dump_shows_no_private_key(store: Store, database_url: str) -> None:
    """Security rule 20."""
    found = dump(database_url)
    with store.storage.snapshot() as rows:
        ((name, master_id, blob),) = rows.fetch(
            "SELECT name, master_id, wrapped FROM ring_keys WHERE name LIKE 'signing %'"
        )
    assert isinstance(blob, bytes)
    assert blob in found
    private = store.vault.unwrap_ring_key(str(name), Wrapped(str(master_id), blob))
    assert private not in found
    assert private[-64:-32] not in found


def test_a_name_is_found_by_its_keyed_hash(store: Store, writer: Writer) -> None:
    writer.commit([register("ada", ADA), register("bob")])
    with store.storage.snapshot() as rows:
        mac = name_mac(store.ring, prepare(ADA.upper()))
        row = CredentialRow.of(rows.fetch(CREDENTIAL_BY_NAME, (mac,))[0])
        assert row.user_key == user_key("ada")
        other = name_mac(store.ring._replace(name=bytes(32)), prepare(ADA))
        assert rows.fetch(CREDENTIAL_BY_NAME, (other,))[0][0] != other
    assert shown_name(store, "ada") == ADA


def test_a_credential_opens_with_its_own_key(store: Store, writer: Writer) -> None:
    writer.commit([register("ada")])
    with store.storage.snapshot() as rows:
        row = CredentialRow.of(rows.fetch(CREDENTIAL_BY_KEY, (b"", user_key("ada")))[0])
        person = person_key(rows, store.vault, "ada")
    assert row.credential_version == 1
    assert row.credential_master_id is not None
    assert row.credential_wrapped is not None
    assert row.secret_hash is not None
    wrapped = Wrapped(row.credential_master_id, row.credential_wrapped)
    key = store.vault.unwrap_user_key(row.user_key, row.credential_version, wrapped)
    assert open_sealed(key, row.secret_hash, row.user_key, "secret_hash") == HASH
    with pytest.raises(Damage):
        open_sealed(person, row.secret_hash, row.user_key, "secret_hash")


def test_a_user_put_in_another_s_place_is_damage(
    store: Store, writer: Writer, database_url: str
) -> None:
    """Security rule 30: see the control below."""
    writer.commit([register("ada"), register("mallory")])
    put_one_in_the_others_place(database_url, "ada", "mallory")
    assert shown_name(store, "ada") == "ada"
    with pytest.raises(Damage):
        shown_name(store, "mallory")


def test_without_additional_data_a_user_can_be_put_in_another_s_place(
    opened: OpenStore,
    make_writer: Callable[[Store], Writer],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Security rule 30: the control of the test above."""
    monkeypatch.setattr(vault_module, "_additional", lambda place: b"")
    monkeypatch.setattr(vault_module, "_user_label", lambda user_key, version: "")
    store = opened()
    make_writer(store).commit([register("ada"), register("mallory")])
    put_one_in_the_others_place(database_url, "ada", "mallory")
    assert shown_name(store, "mallory") == "ada"


def test_a_sealed_value_of_the_log_opens_in_its_row_alone(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), log_in("ada", "a"), log_in("ada", "b")])
    with store.storage.snapshot() as rows:
        key = person_key(rows, store.vault, "ada")
        first, *logins = [
            each
            for each in read_stream(rows, user_key("ada"))
            if each.topic in {"user.registered", "user.logged_in"}
        ]
    blobs = [each.recorded().meta.origin for each in (first, *logins)]
    assert len(blobs) == 3
    for row in (first, *logins):
        for blob, home in zip(blobs, (first, *logins), strict=True):
            assert isinstance(blob, bytes)
            at = (row.topic, row.version)
            if row is home:
                text = open_sealed(key, blob, row.stream, "@origin", at=at)
                assert msgspec.json.decode(text) == [IP, USER_AGENT]
            else:
                with pytest.raises(Damage):
                    open_sealed(key, blob, row.stream, "@origin", at=at)


@pytest.mark.parametrize(
    "other",
    [
        Place("uk_b", 1, "user.registered", 1, "user_id"),
        Place("uk_a", 2, "user.registered", 1, "user_id"),
        Place("uk_a", 1, "user.secret_changed", 1, "user_id"),
        Place("uk_a", 1, "user.registered", 2, "user_id"),
        Place("uk_a", 1, "user.registered", 1, "secret_hash"),
    ],
)
def test_each_part_of_its_place_binds_a_sealed_value(other: Place) -> None:
    key = bytes(32)
    home = Place("uk_a", 1, "user.registered", 1, "user_id")
    blob = seal(key, home, "ada")
    assert open_sealed(key, blob, home.stream, home.field) == "ada"
    head = b"\x01%d %d %s\n" % (other.version, other.schema, other.topic.encode())
    moved = head + blob[blob.index(b"\n") + 1 :]
    with pytest.raises(Damage):
        open_sealed(key, moved, other.stream, other.field)


def test_a_sealed_value_that_was_changed_anywhere_is_damage() -> None:
    key = bytes(32)
    blob = seal(key, Place("uk_a", 1, "user.registered", 1, "user_id"), "ada")
    for place in range(len(blob)):
        changed = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        with pytest.raises(Damage):
            open_sealed(key, changed, "uk_a", "user_id")
        with pytest.raises(Damage):
            open_sealed(key, blob[:place], "uk_a", "user_id")


def test_what_is_sealed_opens_by_aes_with_keys_of_256_bits_alone(writer: Writer) -> None:
    """By the bare cipher, with the whole key and no shorter one."""
    writer.commit([register("ada")])
    key = writer._keys[user_key("ada")]
    assert len(key) == 32
    place = Place("uk_a", 1, "user.registered", 1, "user_id")
    rest = seal(key, place, "ada").partition(b"\n")[2]
    bound = vault_module._additional(place)
    assert AESGCM(key).decrypt(rest[:12], rest[12:], bound) == b"ada"
    for size in (16, 24):
        with pytest.raises(InvalidTag):
            AESGCM(key[:size]).decrypt(rest[:12], rest[12:], bound)
        with pytest.raises(ValueError, match="32 bytes"):
            MasterKey(key[:size])


def test_the_same_value_is_never_sealed_to_the_same_bytes() -> None:
    place = Place("uk_a", 1, "user.registered", 1, "user_id")
    assert len({seal(bytes(32), place, "ada") for _ in range(50)}) == 50


def test_the_same_key_is_never_wrapped_to_the_same_bytes(writer: Writer) -> None:
    vault = Vault(MASTER)
    assert len({vault.wrap("ring name", bytes(32)).blob for _ in range(50)}) == 50
    writer.commit([register("ada")])
    place = (user_key("ada"), PERSON)
    first = vault.wrap(f"user {place[0]} {place[1]}", writer._keys[place[0]])
    assert vault.rewrap_user_key(*place, first).blob != first.blob


def test_a_wrapped_key_opens_unchanged_and_for_what_it_is_alone() -> None:
    vault, key = Vault(MASTER), bytes(range(32))
    wrapped = vault.wrap("ring name", key)
    assert vault.unwrap("ring name", wrapped) == key
    for other in ("ring names", "ring nam", "ring refresh", "user uk_a 0"):
        with pytest.raises(Damage):
            vault.unwrap(other, wrapped)
    blob = wrapped.blob
    for place in range(len(blob)):
        changed = blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :]
        for each in (changed, blob[:place]):
            with pytest.raises(Damage):
                vault.unwrap("ring name", Wrapped(wrapped.master_id, each))


def test_whoever_acted_seals_the_origin(store: Store, writer: Writer) -> None:
    writer.commit([register("ada"), register("admin")])
    granting = permit("ada", "users:read")
    granting.meta = msgspec.structs.replace(granting.meta, actor=actor_of(user_key("admin")))
    (answer,) = writer.commit([granting])
    assert not isinstance(answer, Exception)
    origin = answer[0].meta.origin
    assert isinstance(origin, bytes)
    with store.storage.snapshot() as rows:
        ada, admin = (person_key(rows, store.vault, who) for who in ("ada", "admin"))
    assert IP in open_sealed(admin, origin, user_key("ada"), "@origin")
    with pytest.raises(Damage):
        open_sealed(ada, origin, user_key("ada"), "@origin")
