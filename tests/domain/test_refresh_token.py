"""The refresh token as a value: its one spelling, and what is refused without a look-up."""

from __future__ import annotations

import hashlib
import hmac
import string
import zlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from domain.refresh_token import (
    RefreshToken,
    base62,
    format_refresh_token,
    format_session_id,
    is_genuine,
    parse,
)

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY = b"k" * 32
SESSION = "00000000000000000000Aa"
TOKEN = "gbr_00000000000000000000Aa0000113PyLpAB2E7ISC5848khirDaRBmsETnOTLE9DtJbGClr3yG0NS"

keys = st.binary(min_size=32, max_size=32)
session_ids = st.binary(min_size=16, max_size=16).map(format_session_id)
generations = st.integers(1, 62**6 - 1)


def value(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 62 + DIGITS.index(digit)
    return number


def test_a_token_once_issued_is_recognised_for_ever() -> None:
    assert format_refresh_token(SESSION, 63, KEY) == TOKEN
    token = parse(TOKEN)
    assert token is not None
    assert (token.session_id, token.generation) == (SESSION, 63)
    assert is_genuine(token, KEY)


def test_a_token_is_put_together_as_its_page_says() -> None:
    mac = hmac.new(KEY, f"{SESSION}.63".encode(), hashlib.sha256).digest()
    assert TOKEN[:4] == "gbr_"
    assert TOKEN[4:26] == SESSION
    assert TOKEN[26:32] == "000011"
    assert value(TOKEN[32:75]) == int.from_bytes(mac, "big")
    assert value(TOKEN[75:]) == zlib.crc32(TOKEN[4:75].encode())
    assert len(TOKEN) == 81


@given(session_ids, generations, keys)
def test_a_token_says_what_it_was_made_of(session_id: str, generation: int, key: bytes) -> None:
    text = format_refresh_token(session_id, generation, key)
    token = parse(text)
    assert token is not None
    assert (token.session_id, token.generation) == (session_id, generation)
    assert is_genuine(token, key)
    assert len(text) == 81
    assert set(text[4:]) <= set(DIGITS)


@given(session_ids, generations, keys, keys)
def test_another_servers_token_is_not_genuine(
    session_id: str, generation: int, key: bytes, other: bytes
) -> None:
    assume(key != other)
    token = parse(format_refresh_token(session_id, generation, key))
    assert token is not None
    assert not is_genuine(token, other)


@given(session_ids, generations, keys, st.integers(0, 80), st.characters())
def test_one_mistyped_character_is_refused_before_the_key_is_asked(
    session_id: str, generation: int, key: bytes, place: int, typed: str
) -> None:
    text = format_refresh_token(session_id, generation, key)
    assume(text[place] != typed)
    assert parse(text[:place] + typed + text[place + 1 :]) is None


def test_every_mistyped_character_of_one_token_is_refused() -> None:
    for place in range(81):
        for typed in DIGITS + "_":
            changed = TOKEN[:place] + typed + TOKEN[place + 1 :]
            assert (parse(changed) is None) == (changed != TOKEN)


@given(session_ids, generations, keys, st.integers(0, 79))
def test_two_characters_in_the_wrong_order_are_refused(
    session_id: str, generation: int, key: bytes, place: int
) -> None:
    text = format_refresh_token(session_id, generation, key)
    assume(text[place] != text[place + 1])
    assert parse(text[:place] + text[place + 1] + text[place] + text[place + 2 :]) is None


@given(session_ids, session_ids, generations, generations)
def test_a_token_made_up_with_a_right_checksum_is_not_genuine(
    session_id: str, other: str, generation: int, next_generation: int
) -> None:
    assume((session_id, generation) != (other, next_generation))
    mac = format_refresh_token(session_id, generation, KEY)[32:75]
    body = f"{other}{base62(next_generation, 6)}{mac}"
    token = parse(f"gbr_{body}{base62(zlib.crc32(body.encode()), 6)}")
    assert token == RefreshToken(other, next_generation, mac)
    assert not is_genuine(token, KEY)


def test_every_character_of_the_mac_counts() -> None:
    """With a right checksum, which anybody can make."""
    text = format_refresh_token("A" * 22, 1, KEY)
    for place in range(32, 75):
        digit = "1" if text[place] == "0" else "0"
        body = f"{text[4:place]}{digit}{text[place + 1 : 75]}"
        token = parse(f"gbr_{body}{base62(zlib.crc32(body.encode()), 6)}")
        assert token is not None
        assert not is_genuine(token, KEY)


def test_generation_0_is_not_genuine() -> None:
    token = parse(format_refresh_token(SESSION, 0, KEY))
    assert token is not None
    assert token.generation == 0
    assert not is_genuine(token, KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gbr_",
        TOKEN[:-1],
        TOKEN + "0",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN[4:],
        "GBR_" + TOKEN[4:],
        TOKEN.replace("0", "\uff10"),
        TOKEN.swapcase(),
        "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.AA",
    ],
)
def test_what_isnt_spelt_as_a_token_is_refused(text: str) -> None:
    """Security rule 14."""
    assert parse(text) is None


def test_a_token_isnt_shown() -> None:
    """Security rule 19."""
    token = parse(TOKEN)
    assert token is not None
    for shown in (repr(token), str(token), f"{token}", pretty_repr(token), pretty_repr([token])):
        assert token.mac not in shown
        assert SESSION in shown


@given(st.integers(0, 62**22 - 1))
def test_base62_pads_to_its_width(number: int) -> None:
    text = base62(number, 22)
    assert len(text) == 22
    assert value(text) == number


@given(st.integers(1, 43).flatmap(lambda w: st.tuples(st.just(w), st.integers(0, 62**w - 1))))
def test_base62_is_right_at_odd_and_even_widths(case: tuple[int, int]) -> None:
    width, number = case
    text = base62(number, width)
    assert len(text) == width
    assert value(text) == number


def test_base62_counts_digits_then_capitals_then_small_letters() -> None:
    assert [base62(number, 2) for number in (0, 9, 10, 35, 36, 61, 62)] == [
        *("00", "09", "0A", "0Z", "0a", "0z", "10")
    ]


def test_a_session_id_is_22_characters_of_128_bits() -> None:
    assert format_session_id(bytes(16)) == "0" * 22
    assert format_session_id(b"\xff" * 16) == "7n42DGM5Tflk9n8mt7Fhc7"
