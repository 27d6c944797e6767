"""Tokens refused for their claims, or for how header and claims are spelled.

Each is signed with the real key, so that the oddity alone is at fault; the control is
`test_a_forger_that_changes_nothing_writes_a_good_token`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tokens.forging import CLAIMS, Json, check, compact, forge, header_of, payload, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.tokens.signing import SigningKey

NESTED = "[" * 3000 + "]" * 3000

TIMES = ["iat", "exp", "auth_time"]
TEXTS = ["iss", "sub", "aud", "jti", "client_id", "sid", "user_id", "scope"]


@pytest.mark.parametrize(
    "encoding",
    ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig", "cp037"],
)
def test_another_encoding(key: SigningKey, encoding: str) -> None:
    """Security rule 13."""
    header, written = compact(header_of(key)), compact(payload() | {"user_id": "Ada"})
    assert check(forge(key, header, written), key).user_id == "Ada"
    other_header = header.decode().encode(encoding)
    other_written = written.decode().encode(encoding)
    refuse(forge(key, other_header, written), key)
    refuse(forge(key, header, other_written), key)
    refuse(forge(key, other_header, other_written), key)


@pytest.mark.parametrize(
    "respell",
    [
        lambda text: b" " + text,
        lambda text: text + b" ",
        lambda text: text + b"\n",
        lambda text: text.replace(b":", b": "),
        lambda text: text.replace(b'{"', b'{\t"', 1),
        lambda text: text + b"\x00",
        lambda text: text + text,
        lambda text: text + b"{}",
        lambda text: b"[" + text + b"]",
        lambda text: text[:-1],
        lambda text: text[:-1] + b",}",
        lambda text: text.replace(b'"', b"'"),
        lambda text: b"/**/" + text,
        lambda text: text.replace(b"a", b"\\u0061", 1),
        lambda text: text.replace(b'":"', b'":"\xff', 1),
        lambda text: text.replace(b'":"', b'":"\xed\xa0\x80', 1),
        lambda text: text[:-1] + b',"x":' + NESTED[:1000].encode() + b"}",
    ],
)
@pytest.mark.parametrize("part", ["header", "payload"])
def test_another_spelling(
    es256_key: SigningKey, part: str, respell: Callable[[bytes], bytes]
) -> None:
    """Security rule 13."""
    good = compact(header_of(es256_key)) if part == "header" else compact(payload())
    changed = respell(good)
    assert changed != good
    if part == "header":
        refuse(forge(es256_key, header=changed), es256_key)
    else:
        refuse(forge(es256_key, written=changed), es256_key)


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"0",
        b'""',
        b"NaN",
        b"\xff\xfe",
        NESTED.encode(),
        b'{"a":' * 900 + b"1" + b"}" * 900,
    ],
    ids=lambda other: repr(other)[:16],
)
def test_what_is_no_object_of_ours(es256_key: SigningKey, other: bytes) -> None:
    """Security rule 13."""
    refuse(forge(es256_key, header=other), es256_key)
    refuse(forge(es256_key, written=other), es256_key)


def test_another_order_of_members(key: SigningKey) -> None:
    """Security rule 13: only what the service itself writes is good."""
    refuse(forge(key, compact(dict(reversed(header_of(key).items())))), key)
    refuse(forge(key, written=compact(dict(reversed(payload().items())))), key)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "spelling",
    [
        "#.0",
        "#.5",
        "#e0",
        "#E+0",
        "18e8",
        "0#",
        "+#",
        "-#",
        '"#"',
        "[#]",
        "true",
        "false",
        "null",
        "-1",
        "-0",
        "-0.0",
        "0x6b49d200",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        str(2**53 + 1),
        str(2**63 - 1),
        str(2**63),
        str(2**64),
        str(-(2**63) - 1),
        "9" * 400,
        "9" * 5000,
        "{}",
        '""',
    ],
)
def test_a_time_that_is_no_plain_integer(es256_key: SigningKey, name: str, spelling: str) -> None:
    """Security rule 13; # is the right number."""
    number = str(payload()[name])
    good = compact(payload())
    changed = good.replace(
        f'"{name}":{number}'.encode(), f'"{name}":{spelling.replace("#", number)}'.encode()
    )
    assert changed != good
    refuse(forge(es256_key, written=changed), es256_key)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [None, 0, 1.5, True, [], {}, ["https://api.example"]])
def test_a_text_that_is_no_string(es256_key: SigningKey, name: str, value: Json) -> None:
    """Security rule 13."""
    refuse(forge(es256_key, written=compact(payload() | {name: value})), es256_key)


def test_a_list_of_audiences(key: SigningKey) -> None:
    """Security rule 13."""
    lists: list[Json] = [
        [CLAIMS.aud],
        [CLAIMS.aud, "https://other.example"],
        ["https://other.example", CLAIMS.aud],
        [],
    ]
    for aud in lists:
        refuse(forge(key, written=compact(payload() | {"aud": aud})), key)


@pytest.mark.parametrize("name", TIMES + TEXTS)
def test_a_claim_less(es256_key: SigningKey, name: str) -> None:
    """Security rule 13."""
    claims = payload()
    del claims[name]
    refuse(forge(es256_key, written=compact(claims)), es256_key)


@pytest.mark.parametrize(
    "added", [{"nbf": 0}, {"admin": True}, {"cnf": {}}, {"act": {"sub": "x"}}, {"": 0}, {"ISS": ""}]
)
def test_a_claim_more(es256_key: SigningKey, added: dict[str, Json]) -> None:
    """Security rule 13."""
    refuse(forge(es256_key, written=compact(payload() | added)), es256_key)


@pytest.mark.parametrize("name", TIMES + TEXTS)
def test_a_repeated_claim(es256_key: SigningKey, name: str) -> None:
    """Security rule 13."""
    good = compact(payload())
    same = compact({name: payload()[name]})
    refuse(forge(es256_key, written=good[:-1] + b"," + same[1:]), es256_key)
    refuse(forge(es256_key, written=same[:-1] + b"," + good[1:]), es256_key)
