"""When two names are one, and what is no name."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile

from domain.errors import InvalidRequest
from domain.user_id import MAX_BYTES, MAX_CHARACTERS, prepare

JAMO = "\u1112\u1161\u11ab"
"""Nine bytes that are one character, U+D55C, once prepared."""


def refusal(text: str) -> str:
    """The one detail of the refusal, whose pointer must be `/user_id`."""
    with pytest.raises(InvalidRequest) as caught:
        prepare(text)
    [fault] = caught.value.faults
    assert fault.pointer == "/user_id"
    return fault.detail


@pytest.mark.parametrize("typed", ["Ada", "ada", "ADA", "ＡＤＡ", "ａｄａ", "Ａdａ"])
def test_case_and_width_dont_make_another_name(typed: str) -> None:
    assert prepare(typed) == "ada"


def test_composed_and_decomposed_are_one_name() -> None:
    assert prepare("Zo\u00eb") == prepare("zoe\u0308") == prepare("ZOE\u0308") == "zo\u00eb"


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada", "\u0430d\u0430"), ("strasse", "straße"), ("ada", "àda"), ("o", "0"), ("ı", "i")],
)
def test_names_that_only_look_alike_are_two(one: str, other: str) -> None:
    assert prepare(one) != prepare(other)


@pytest.mark.parametrize(
    ("typed", "prepared"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada.Lovelace+Gate@Example.ORG", "ada.lovelace+gate@example.org"),
        ("用户@例子.广告", "用户@例子.广告"),
        ("Ἀριστοτέλης", "ἀριστοτέλης"),
        ("אדה", "אדה"),
        ("~!#$%&'*/=?^_`{|}", "~!#$%&'*/=?^_`{|}"),
        ("7", "7"),
    ],
)
def test_addresses_signs_and_other_scripts_are_names(typed: str, prepared: str) -> None:
    assert prepare(typed) == prepared


@pytest.mark.parametrize("character", ["a", "\U00010428", "é"])
def test_a_name_has_at_most_128_characters(character: str) -> None:
    assert prepare(character * MAX_CHARACTERS) == character * MAX_CHARACTERS
    assert "128 characters" in refusal(character * (MAX_CHARACTERS + 1))


def test_characters_are_counted_after_preparing() -> None:
    assert prepare(JAMO * 113) == "\ud55c" * 113
    assert len(prepare("İ" * 64)) == 128
    assert "128 characters" in refusal("İ" * 65)


def test_bytes_are_counted_before_preparing() -> None:
    """Security rule 1."""
    fits = JAMO * 113 + "1234567"
    assert len(fits.encode()) == MAX_BYTES
    assert len(prepare(fits)) == 120
    assert "1024 bytes" in refusal(fits + "8")


def test_a_very_long_name_is_refused_for_its_bytes() -> None:
    """Security rule 1."""
    assert "1024 bytes" in refusal("a" * 1_025)
    assert "1024 bytes" in refusal("\ud800" * 342)
    assert "128 characters" in refusal("a" * 1_024)


def test_an_empty_name_is_none() -> None:
    assert "at least one character" in refusal("")


@pytest.mark.parametrize(
    "character",
    [
        *("\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85"),  # Cc
        *("\u00ad", "\u061c", "\u200b", "\u200d", "\u202e", "\u2066", "\ufeff", "\U000e0041"),  # Cf
        *("\ud800", "\udfff"),  # Cs
        *("\ue000", "\U000f0000", "\U0010fffd"),  # Co
        *("\u0378", "\ufffe", "\U0010ffff"),  # Cn
        *("\u2028", "\u2029"),  # Zl, Zp
    ],
)
@pytest.mark.parametrize("frame", ["{}", "{}ada", "ada{}", "a{}da", "é{}"])
def test_invisible_unassigned_and_private_characters_are_refused(
    character: str, frame: str
) -> None:
    """Security rule 4."""
    assert f"U+{ord(character):04X}" in refusal(frame.format(character))


@pytest.mark.parametrize("space", [" ", "\u00a0", "\u2003", "\u3000", "\u1680"])
@pytest.mark.parametrize("frame", ["{}", "{}ada", "ada{}", "{}é", "ada{}lovelace"])
def test_spaces_are_refused(space: str, frame: str) -> None:
    """Security rule 4."""
    assert refusal(frame.format(space)).startswith("A user_id has no spaces: put a dot,")


@pytest.mark.parametrize("typed", ["ﬁ", "①", "ſ", "☃", "𝒜", "\u0627a", "·", "½"])
def test_what_the_profile_disallows_is_refused(typed: str) -> None:
    why = refusal(typed)
    assert "not acceptable in a user_id" in why
    assert "Use letters, digits" in why


def test_a_refusal_shows_nothing_of_the_name() -> None:
    """Security rule 19."""
    with pytest.raises(InvalidRequest) as caught:
        prepare("canary-name\u2028")
    assert "canary" not in caught.value.detail
    assert "canary" not in refusal("canary-name\u2028")
    assert "canary" not in refusal("canary name")


@given(st.text(alphabet=string.printable[:94], min_size=1, max_size=MAX_CHARACTERS))
def test_ascii_is_prepared_as_the_profile_does(text: str) -> None:
    assert prepare(text) == get_profile("UsernameCaseMapped").enforce(text)


@given(st.text(alphabet=st.characters(), max_size=140))
def test_any_text_is_prepared_for_good_or_refused(text: str) -> None:
    try:
        prepared = prepare(text)
    except InvalidRequest as error:
        assert [fault.pointer for fault in error.faults] == ["/user_id"]  # noqa: PT017
    else:
        assert 1 <= len(prepared) <= MAX_CHARACTERS
        assert prepare(prepared) == prepared


@given(st.text(alphabet=st.characters(categories=["L", "M", "Nd"]), min_size=1, max_size=6))
def test_preparing_a_prepared_name_changes_nothing(text: str) -> None:
    try:
        prepared = prepare(text)
    except InvalidRequest:
        return
    assert prepare(prepared) == prepared
