"""Opening what views hold: what was opened before doesn't open somebody else's row."""

from __future__ import annotations

import pytest

from app.opening import Opener
from app.vault import PERSON, Place, Vault, open_sealed, seal
from domain.errors import Damage

ADA, BOB = "uk_" + "0" * 26, "uk_" + "1" * 26


@pytest.mark.parametrize("warm", [False, True])
def test_a_name_put_in_another_s_row_is_damage(*, warm: bool) -> None:
    """Security rule 30: whether it was opened in its own place before or not."""
    vault = Vault(bytes(range(32)))
    opener = Opener(vault)
    key, wrapped = vault.new_user_key_row(ADA, PERSON)
    blob = seal(key, Place(ADA, 1, "user.registered", 1, "user_id"), "ada the admin")
    if warm:
        assert opener.user_id(ADA, wrapped, blob) == "ada the admin"
    with pytest.raises(Damage):
        opener.user_id(BOB, wrapped, blob)
    with pytest.raises(Damage):
        opener.origin(ADA, wrapped, blob)


def test_what_was_opened_is_forgotten_when_a_key_goes() -> None:
    vault = Vault(bytes(range(32)))
    opener = Opener(vault)
    key, wrapped = vault.new_user_key_row(ADA, PERSON)
    blob = seal(key, Place(ADA, 1, "user.registered", 1, "user_id"), "ada")
    opener.at(1)
    assert opener.user_id(ADA, wrapped, blob) == "ada"
    opener.at(2)
    _, other = vault.new_user_key_row(ADA, PERSON)
    with pytest.raises(Damage):
        opener.user_id(ADA, other, blob)


def test_when_it_is_full_only_what_was_opened_longest_ago_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vault = Vault(bytes(range(32)))
    opener = Opener(vault, remembered=3)
    key, wrapped = vault.new_user_key_row(ADA, PERSON)
    names = ["a", "b", "c", "d"]
    places = [Place(ADA, 1, "user.registered", 1, "user_id")] * len(names)
    blobs = [seal(key, place, name) for place, name in zip(places, names, strict=True)]
    for name, blob in zip(names, blobs, strict=True):
        assert opener.user_id(ADA, wrapped, blob) == name
    opened: list[bytes] = []

    def noted(key: bytes, blob: bytes, stream: str, field: str) -> str:
        opened.append(blob)
        return open_sealed(key, blob, stream, field)

    monkeypatch.setattr("app.opening.open_sealed", noted)
    for name, blob in zip(names[1:], blobs[1:], strict=True):
        assert opener.user_id(ADA, wrapped, blob) == name
    assert opened == []
    assert opener.user_id(ADA, wrapped, blobs[0]) == "a"
    assert opened == blobs[:1]
