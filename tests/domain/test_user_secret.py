"""The prepared form of secrets, and which new ones are refused, saying why."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from domain import user_secret
from domain.errors import InvalidRequest, UnacceptableSecret

COMMON = frozenset({"password1", "iloveyou"})
GOOD = "correct horse battery"


def check(text: str, *, user_id: str = "ada", min_length: int = 8) -> str:
    return user_secret.check_new(text, user_id=user_id, min_length=min_length, common=COMMON)


def why_refused(text: str, *, user_id: str = "ada", min_length: int = 8) -> str:
    with pytest.raises(UnacceptableSecret) as refusal:
        check(text, user_id=user_id, min_length=min_length)
    (fault,) = refusal.value.faults
    assert fault.pointer == "/user_secret"
    return fault.detail


def test_a_secret_is_never_trimmed() -> None:
    """Security rule 5."""
    assert user_secret.prepare("  two spaces  ") == "  two spaces  "


def test_composed_and_decomposed_spellings_are_one_secret() -> None:
    """Security rule 5."""
    decomposed = unicodedata.normalize("NFD", "Blåbærsyltetøj")
    assert decomposed != "Blåbærsyltetøj"
    assert user_secret.prepare(decomposed) == user_secret.prepare("Blåbærsyltetøj")


def test_case_width_and_compatibility_forms_stay_different() -> None:
    spellings = ["Secret ﬁsh", "secret ﬁsh", "secret fish", "ｓecret fish"]
    assert len({user_secret.prepare(spelling) for spelling in spellings}) == len(spellings)


def test_every_kind_of_space_is_one_space() -> None:
    assert user_secret.prepare("a\u00a0b\u3000c") == "a b c"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nul \0 inside", "control character"),
        ("tab\tinside", "control character"),
        ("unassigned \u0378", "not assigned"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("zero\u200dwidth", "invisible"),
        ("", "empty"),
    ],
)
def test_what_can_not_be_prepared_is_an_invalid_request(text: str, why: str) -> None:
    """Security rule 5."""
    with pytest.raises(InvalidRequest) as refusal:
        user_secret.prepare(text)
    assert not isinstance(refusal.value, UnacceptableSecret)
    (fault,) = refusal.value.faults
    assert fault.pointer == "/user_secret"
    assert why in fault.detail


def test_a_new_secret_that_can_not_be_prepared_is_an_invalid_request_too() -> None:
    """Security rule 5."""
    with pytest.raises(InvalidRequest) as refusal:
        check("long enough \0")
    assert not isinstance(refusal.value, UnacceptableSecret)


def test_a_refusal_holds_no_part_of_the_secret() -> None:
    """Security rule 19."""
    with pytest.raises(InvalidRequest) as refusal:
        user_secret.prepare("canary \u0378 canary")
    error: BaseException | None = refusal.value
    while error is not None:
        assert "canary" not in repr(error)
        assert not isinstance(error, UnicodeError)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("character", ["a", "é", "한", "😀"])
def test_1024_bytes_are_a_secret_and_one_character_more_is_not(character: str) -> None:
    """Security rule 1."""
    size = len(character.encode())
    longest = "x" * (1_024 % size) + character * (1_024 // size)
    assert len(longest.encode()) == 1_024
    assert user_secret.prepare(longest) == longest
    with pytest.raises(InvalidRequest) as refusal:
        user_secret.prepare(longest + "x")
    assert "1024 bytes" in refusal.value.faults[0].detail


def test_a_secret_that_grows_over_1024_bytes_when_prepared_is_refused() -> None:
    """Security rule 1."""
    grows = "\u0958" * 341  # 1,023 bytes, and 2,046 in NFC
    with pytest.raises(InvalidRequest) as refusal:
        user_secret.prepare(grows)
    assert "after Unicode normalisation" in refusal.value.faults[0].detail
    assert "after Unicode normalisation" in why_refused(grows)


def test_a_secret_that_shrinks_under_1024_bytes_is_refused_as_well() -> None:
    """Security rule 1: the size is refused before any work is done on it."""
    shrinks = "e\u0301" * 400  # 1,200 bytes, and 800 in NFC
    with pytest.raises(InvalidRequest):
        user_secret.prepare(shrinks)


def test_secrets_of_1024_bytes_that_differ_in_the_last_one_differ() -> None:
    """Security rule 5."""
    assert user_secret.prepare("x" * 1_023 + "y") != user_secret.prepare("x" * 1_023 + "z")


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_preparing_is_the_library_s_profile_and_done_once(text: str) -> None:
    try:
        expected = get_profile("OpaqueString").enforce(text)
    except UnicodeEncodeError:
        with pytest.raises(InvalidRequest):
            user_secret.prepare(text)
        return
    prepared = user_secret.prepare(text)
    assert prepared == expected
    assert user_secret.prepare(prepared) == prepared


def test_a_good_secret_is_returned_prepared() -> None:
    assert check(GOOD) == GOOD
    assert check("e\u0301" * 8) == "é" * 8


def test_the_length_is_in_characters_of_the_prepared_form() -> None:
    assert check("éèêëāăąç") == "éèêëāăąç"
    assert "at least 8 characters" in why_refused("éèêëāăą")
    assert "at least 8 characters" in why_refused("e\u0301" * 7)
    assert "at least 15 characters" in why_refused("fourteen chars", min_length=15)
    assert "at least 8 characters" in why_refused("")


def test_a_new_secret_that_is_too_long_is_unacceptable() -> None:
    assert "1024 bytes" in why_refused("x" * 1_025)


@pytest.mark.parametrize("secret", ["password1", "PassWord1", "ILOVEYOU"])
def test_a_common_secret_is_refused_in_any_case(secret: str) -> None:
    """Security rule 11."""
    assert "most used" in why_refused(secret)


@pytest.mark.parametrize("secret", ["gatebook", "GateBook"])
def test_the_product_s_name_is_refused(secret: str) -> None:
    """Security rule 11."""
    assert "name of this service" in why_refused(secret)


@pytest.mark.parametrize(
    ("user_id", "secret"),
    [
        ("Ada.Lovelace", "Ada.Lovelace"),
        ("Ada.Lovelace", "ada.lovelace"),
        ("Ada.Lovelace", "ecalevoL.adA"),
        ("lovelace", "lovelaceLOVELACE"),
        ("ａｄａｌｏｖｅｌ", "adalovel"),  # typed in full width, compared in both
        ("ａｄａｌｏｖｅｌ", "ａｄａｌｏｖｅｌ"),
        ("bjo\u0308rnsson", "björnsson"),
        ("björnsson", "nossnro\u0308jb"),
    ],
)
def test_the_user_id_its_reverse_and_its_double_are_refused(user_id: str, secret: str) -> None:
    """Security rule 11."""
    assert "user_id" in why_refused(secret, user_id=user_id)


def test_a_secret_that_only_contains_the_user_id_is_accepted() -> None:
    assert check("lovelace and more", user_id="lovelace") == "lovelace and more"


def test_the_fault_points_where_the_caller_says() -> None:
    with pytest.raises(UnacceptableSecret) as refusal:
        user_secret.check_new(
            "short", user_id="ada", min_length=8, common=COMMON, pointer="/new_user_secret"
        )
    assert refusal.value.faults[0].pointer == "/new_user_secret"
    assert refusal.value.detail == "The new_user_secret is not acceptable."
    with pytest.raises(InvalidRequest) as malformed:
        user_secret.prepare("\0", pointer="/new_user_secret")
    assert malformed.value.faults[0].pointer == "/new_user_secret"


@pytest.mark.parametrize(
    "secret", ["quietropeofseven", "QUIETROPEOFSEVEN", "70418829356", "; ; ; ; ;", "веревка семь"]
)
def test_any_composition_is_accepted(secret: str) -> None:
    """No rule asks for capitals, digits or signs."""
    assert check(secret) == secret
