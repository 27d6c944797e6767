"""Tokens refused for their form or signature, and whatever chance can make of them.

Each is signed with the real key, so that the oddity alone is at fault; the control is
`test_a_forger_that_changes_nothing_writes_a_good_token`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.tokens.access_token import Claims, sign
from tests.tokens.forging import CLAIMS, b64, check, compact, forge, header_of, payload, refuse

if TYPE_CHECKING:
    from app.tokens.signing import SigningKey


def test_padding_on_any_segment(key: SigningKey) -> None:
    """Security rule 13."""
    parts = sign(CLAIMS, key).split(".")
    for place in range(3):
        for padding in ("=", "==", "===", "====", "%3D%3D"):
            padded = parts.copy()
            padded[place] += padding
            refuse(".".join(padded), key)


def test_trailing_bits_in_any_segment(key: SigningKey) -> None:
    """Security rule 13: the last character's unused bits make other texts of the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    tried = 0
    for scope in ("a", "ab", "abc"):
        claims = Claims(**(payload() | {"scope": scope}))  # type: ignore[arg-type]
        parts = sign(claims, key).split(".")
        for place in range(3):
            unused = {0: 0, 2: 4, 3: 2}[len(parts[place]) % 4]
            value = alphabet.index(parts[place][-1])
            assert value % (1 << unused) == 0
            for bits in range(1, 1 << unused):
                changed = parts.copy()
                changed[place] = parts[place][:-1] + alphabet[value + bits]
                refuse(".".join(changed), key)
                tried += 1
    assert tried >= 15


@pytest.mark.parametrize(
    "character", ["+", "/", "=", " ", "\n", "\t", "\r", "\x00", "%", "Ä", "\ud800"]
)
def test_a_foreign_character_anywhere(key: SigningKey, character: str) -> None:
    """Security rule 13."""
    token = sign(CLAIMS, key)
    for place in (0, 10, token.index("."), token.index(".") + 1, token.rindex(".") + 1, len(token)):
        refuse(token[:place] + character + token[place:], key)


def test_the_standard_alphabet(es256_key: SigningKey) -> None:
    """Security rule 13."""
    for number in range(200):
        claims = Claims(**(payload() | {"user_id": f"~?>~?>{number}"}))  # type: ignore[arg-type]
        token = sign(claims, es256_key)
        if "-" in token and "_" in token:
            assert check(token, es256_key) == claims
            refuse(token.replace("-", "+").replace("_", "/"), es256_key)
            refuse(token.replace("-", "+"), es256_key)
            refuse(token.replace("_", "/"), es256_key)
            return
    pytest.fail("no token had both characters")


def test_other_serialisations(key: SigningKey) -> None:
    """Security rule 13."""
    protected, written, signature = sign(CLAIMS, key).split(".")
    flat = {"protected": protected, "payload": written, "signature": signature}
    general = {
        "payload": written,
        "signatures": [{"protected": protected, "signature": signature}],
    }
    for token in (
        json.dumps(flat),
        json.dumps(general),
        json.dumps([sign(CLAIMS, key)]),
        json.dumps(sign(CLAIMS, key)),
        b64(json.dumps(flat).encode()),
        f"{protected}.{written}.{signature}.{signature}",
        f"{protected}.{written}.{signature}.{signature}.{signature}",
        f"{protected}..{written}.{signature}.AAAA",
        f"{protected}..{signature}",
        f".{protected}.{written}.{signature}",
        f"{protected}.{written}.{signature}.",
        f"..{signature}",
        f"Bearer {protected}.{written}.{signature}",
        f"{protected}~{written}~{signature}",
        f"{protected}.{written}.{signature}~",
        f"v4.public.{written}",
    ):
        refuse(token, key)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "." * 8192,
        "a.b.c",
        "e30.e30.e30",
        "null",
        "None",
        "{}",
        "\x00",
        "\ufeff",
    ],
)
def test_what_is_no_token_at_all(es256_key: SigningKey, token: str) -> None:
    """Security rule 13."""
    refuse(token, es256_key)


def test_a_refresh_token(es256_key: SigningKey) -> None:
    """Security rule 14."""
    refuse("gbr_" + "0aZ3kPq8TnVbXy12LmWdRs" + "000001" + "A" * 43 + "aaaaaa", es256_key)


@pytest.mark.parametrize("thing", [None, 0, 1.5, True, b"", b"a.b.c", [], (), {}, object()])
def test_what_is_no_text_at_all(es256_key: SigningKey, thing: object) -> None:
    """Security rule 13."""
    refuse(thing, es256_key)  # type: ignore[arg-type]
    refuse(sign(CLAIMS, es256_key).encode(), es256_key)  # type: ignore[arg-type]


def test_another_signature_form(es256_key: SigningKey) -> None:
    """Security rule 13: a DER signature is not a JWS signature."""
    private = load_der_private_key(es256_key.to_pkcs8(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    signed = f"{b64(compact(header_of(es256_key)))}.{b64(compact(payload()))}"
    der = private.sign(signed.encode(), ec.ECDSA(SHA256()))
    refuse(f"{signed}.{b64(der)}", es256_key)


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_a_digest_for_a_signature(key: SigningKey, digest: str) -> None:
    """Security rule 13."""
    signed = f"{b64(compact(header_of(key)))}.{b64(compact(payload()))}"
    refuse(f"{signed}.{b64(hashlib.new(digest, signed.encode()).digest())}", key)


def test_parts_of_two_tokens(key: SigningKey) -> None:
    """Security rule 13."""
    one = sign(CLAIMS, key).split(".")
    claims = Claims(**(payload() | {"scope": "admin"}))  # type: ignore[arg-type]
    two = sign(claims, key).split(".")
    refuse(f"{one[0]}.{two[1]}.{one[2]}", key)
    refuse(f"{two[0]}.{one[1]}.{two[2]}", key)


@pytest.fixture(scope="session")
def good_tokens(
    es256_key: SigningKey, eddsa_key: SigningKey, rs256_key: SigningKey
) -> list[tuple[str, SigningKey]]:
    return [(sign(CLAIMS, key), key) for key in (es256_key, eddsa_key, rs256_key)]


edits = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "delete", "double", "cut"]),
        st.integers(0, 2000),
        st.characters() | st.sampled_from("AQgw=-_.+/ "),
    ),
    min_size=1,
    max_size=4,
)


def edit(text: str, changes: list[tuple[str, int, str]]) -> str:
    for what, where, character in changes:
        place = where % (len(text) + 1)
        head, tail = text[:place], text[place:]
        match what:
            case "insert":
                text = head + character + tail
            case "replace":
                text = head + character + tail[1:]
            case "delete":
                text = head + tail[1:]
            case "double":
                text = head + tail[:20] + tail
            case _:
                text = head
    return text


@settings(max_examples=300)
@given(which=st.integers(0, 2), changes=edits)
def test_a_changed_token_is_refused_and_never_a_fault(
    good_tokens: list[tuple[str, SigningKey]], which: int, changes: list[tuple[str, int, str]]
) -> None:
    """Security rules 8 and 13."""
    good, key = good_tokens[which]
    changed = edit(good, changes)
    if changed != good:
        refuse(changed, key)


@settings(max_examples=300)
@given(token=st.text(st.characters(), max_size=400) | st.text("eyJ.A-_=", max_size=400))
@example("\ud800.\udfff.\ud800")
def test_random_text_is_refused_and_never_a_fault(
    good_tokens: list[tuple[str, SigningKey]], token: str
) -> None:
    """Security rules 8 and 13."""
    refuse(token, good_tokens[0][1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    part=st.sampled_from(["header", "payload"]),
    written=st.binary(max_size=300)
    | st.builds(lambda value: json.dumps(value).encode(), json_values)
    | st.builds(
        lambda name, value: json.dumps(payload() | {name: value}).encode(),
        st.sampled_from(list(payload())),
        json_values,
    ),
)
def test_any_signed_header_or_payload_is_refused_and_never_a_fault(
    good_tokens: list[tuple[str, SigningKey]], part: str, written: bytes
) -> None:
    """Security rules 8 and 13: even a holder of the key can't make the reader fail."""
    _, key = good_tokens[0]
    if part == "header":
        refuse(forge(key, header=written), key)
    else:
        refuse(forge(key, written=written), key)
