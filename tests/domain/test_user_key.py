"""How a user_key is spelt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.user_key import format_user_key, is_user_key

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
KEY = "uk_7zzzzzzzzzzzzzzzzzzzzzzzzz"


def test_known_user_keys_keep_their_spelling() -> None:
    assert format_user_key(bytes(16)) == "uk_" + "0" * 26
    assert format_user_key(b"\xff" * 16) == KEY
    assert format_user_key(bytes(range(16))) == "uk_00041061050r3gg28a1c60t3gf"


@given(st.binary(min_size=16, max_size=16))
def test_a_user_key_holds_all_128_bits(uuid: bytes) -> None:
    text = format_user_key(uuid)
    value = 0
    for digit in text.removeprefix("uk_"):
        value = value * 32 + CROCKFORD.index(digit)
    assert value.to_bytes(16, "big") == uuid
    assert is_user_key(text)
    assert len(text) == 29


@pytest.mark.parametrize(
    "text",
    [
        "",
        "uk_",
        KEY[:-1],
        KEY + "z",
        KEY + "\n",
        " " + KEY,
        KEY.upper(),
        KEY.removeprefix("uk_"),
        "UK_" + KEY[3:],
        "uk_8" + KEY[4:],
        *(KEY[:-1] + letter for letter in "ilouZ-_٣ａ"),
    ],
)
def test_other_spellings_are_no_user_key(text: str) -> None:
    assert not is_user_key(text)
