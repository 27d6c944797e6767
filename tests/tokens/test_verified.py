"""Tokens whose signature is remembered, until they expire.

That a token is remembered shows where its key is gone from under what remembers.
"""

from __future__ import annotations

import msgspec
import pytest

from app.tokens.access_token import Claims, sign
from app.tokens.signing import SigningKey, VerifyingKey
from app.tokens.verified import Verified
from domain.errors import InvalidToken
from tests.tokens.forging import CLAIMS, NOW, SECOND, b64

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
END = CLAIMS.exp * SECOND


def numbered(number: int) -> Claims:
    return msgspec.structs.replace(CLAIMS, jti=f"{number:022}")


class Asked:
    """What is remembered, asked with a key or, `without`, with none."""

    def __init__(self, key: SigningKey, remembered: int = 8) -> None:
        self._key = key
        self._keys: dict[str, VerifyingKey] = {}
        self._verified = Verified(self._keys, remembered)

    def known(self, token: str, now: int = NOW) -> Claims:
        self._keys[self._key.kid] = self._key.verifying_key
        return self._verified.genuine(token, now)

    def without(self, token: str, now: int = NOW) -> Claims:
        self._keys.clear()
        return self._verified.genuine(token, now)

    def refused(self, token: str, now: int = NOW) -> None:
        with pytest.raises(InvalidToken):
            self.without(token, now)


def test_a_token_is_verified_once(key: SigningKey) -> None:
    asked, token = Asked(key), sign(CLAIMS, key)
    asked.refused(token)
    assert asked.known(token) == CLAIMS
    assert asked.without(token) == CLAIMS


def test_a_token_is_not_remembered_once_it_has_expired(es256_key: SigningKey) -> None:
    asked, token = Asked(es256_key), sign(CLAIMS, es256_key)
    assert asked.known(token, now=END - 1) == CLAIMS
    assert asked.without(token, now=END) == CLAIMS
    asked.refused(token, now=END)
    assert asked.known(token, now=END) == CLAIMS
    asked.refused(token, now=END)


def test_only_the_very_same_bytes_are_the_same_token(es256_key: SigningKey) -> None:
    """Security rule 13: a token that was good gives no other spelling a way in."""
    asked, token = Asked(es256_key), sign(CLAIMS, es256_key)
    asked.known(token)
    header, payload, signature = token.split(".")
    others = (
        *(f"{token}=", f" {token}", f"{token}\n", f"{token}.", f"{token}\0", token[:-1]),
        f"{header}.{payload}.{b64(bytes(64))}",
        f"{header}.{b64(b'{}')}.{signature}",
        f"{header}..{signature}",
        token.replace("e", "е", 1),
        token.swapcase(),
        token + "A" * 8192,
        "",
    )
    for other in others:
        with pytest.raises(InvalidToken):
            asked.known(other)
    assert asked.without(token) == CLAIMS


def test_no_character_of_a_remembered_signature_may_be_another(key: SigningKey) -> None:
    """Security rule 13."""
    asked, token = Asked(key), sign(CLAIMS, key)
    asked.known(token)
    begin = token.rindex(".") + 1
    for at in range(begin, len(token)):
        # The next one in the order of the alphabet: at the end, bits that nobody reads, too.
        other = ALPHABET[(ALPHABET.index(token[at]) + 1) % len(ALPHABET)]
        with pytest.raises(InvalidToken):
            asked.known(token[:at] + other + token[at + 1 :])
    for less in range(1, len(token) - begin + 1):
        with pytest.raises(InvalidToken):
            asked.known(token[:-less])
    assert asked.without(token) == CLAIMS


def test_what_was_remembered_first_makes_room(es256_key: SigningKey) -> None:
    asked = Asked(es256_key, remembered=3)
    tokens = [sign(numbered(number), es256_key) for number in range(4)]
    for token in tokens:
        asked.known(token)
    asked.refused(tokens[0])
    for number in (1, 2, 3):
        assert asked.without(tokens[number]).jti == numbered(number).jti
    asked.known(tokens[0])
    asked.refused(tokens[1])


def test_an_expired_token_makes_room_when_it_is_shown(es256_key: SigningKey) -> None:
    asked = Asked(es256_key, remembered=2)
    short = sign(msgspec.structs.replace(CLAIMS, exp=CLAIMS.exp - 1), es256_key)
    first, last = (sign(numbered(number), es256_key) for number in (1, 2))
    for token in (first, short):
        asked.known(token)
    asked.without(short, now=END - SECOND)
    asked.known(last)
    for token in (first, last):
        asked.without(token)


def test_what_is_refused_is_not_remembered(es256_key: SigningKey, eddsa_key: SigningKey) -> None:
    asked, token = Asked(es256_key, remembered=1), sign(CLAIMS, es256_key)
    asked.known(token)
    with pytest.raises(InvalidToken):
        asked.known(sign(CLAIMS, eddsa_key))
    assert asked.without(token) == CLAIMS
