"""Bodies that are almost what an operation takes: JSON and forms, broken in every way known here.

Knows what an operation's body has in it, and not what is answered.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.prove.described import Operation

DEEP: Final = 15_000
_BYTES: Final = (
    b"\xff",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\0",
    b"\x1b",
    b"\xef",
)
_NUMBERS: Final = (
    b"1e999999", b"-1e-999999", b"9" * 5_000, b"0." + b"0" * 5_000 + b"1", b"-0", b"01", b"+1",
    b"1.", b".5", b"NaN", b"-Infinity", b"0x1", b"18446744073709551616", b"true", b"null",
)  # fmt: skip
_TEXTS: Final = (
    rb'"\ud800"', rb'"\udc00\ud800"', rb'"\u0000"', rb'"\x41"', rb'"\u12"', b'"\n"', b'"' * 3,
    b'"' + b"\\" * 4_001 + b'"', b'"' + b"\\u0041" * 2_000 + b'"',
)  # fmt: skip
_WHOLES: Final = (
    b"", b"\xef\xbb\xbf{}", b"{", b"}", b"[]", b'"x"', b"null", b"{}{}", b"{,}", b'{"":{}}',
    b"[" * DEEP, b"[" * DEEP + b"]" * DEEP, b'{"":' * 3_000, b"{" * DEEP, b'["' * 5_000,
    b'{"a":' + b"[" * 15 + b"1" + b"]" * 15 + b"}", b"\0" * 1_000, bytes(range(256)),
)  # fmt: skip


def mutated(operation: Operation, text: str, rng: random.Random, number: int) -> Iterator[bytes]:
    """So many broken bodies of the operation, with the text in some; none where it takes none."""
    if operation.members:
        make, right = _json, json.dumps(dict.fromkeys(operation.members, text)).encode()
    elif operation.form:
        make, right = _form, urlencode(dict.fromkeys(operation.form, text)).encode()
    else:
        return
    for _ in range(number):
        yield make(right, [*(operation.members or operation.form)], rng)


def _json(right: bytes, names: list[str], rng: random.Random) -> bytes:
    name = json.dumps(rng.choice(names)).encode()
    value = rng.choice(_NUMBERS + _TEXTS)
    match rng.randrange(6):
        case 0:
            return rng.choice(_WHOLES)
        case 1:  # one member is something else
            rest = b"".join(b',"%b":"x"' % each.encode() for each in names[1:])
            return b"{%b:%b%b}" % (name, value, rest)
        case 2:  # twice, the second of which may be right
            return b"{%b:%b,%b" % (name, value, right[1:])
        case 3:  # twice, with one name spelled otherwise
            spelled = b'"\\u%04x%b' % (name[1], name[2:])
            return b"{%b:%b,%b" % (spelled, value, right[1:])
        case 4:
            return right.decode().encode(rng.choice(("utf-16", "utf-32", "utf-8-sig")))
        case _:
            return broken(right, rng)


def _form(right: bytes, names: list[str], rng: random.Random) -> bytes:
    name = rng.choice(names).encode()
    match rng.randrange(6):
        case 0:
            return b"&".join([b"%b=x" % name] * rng.choice((2, 1_000, 5_000)))
        case 1:
            return rng.choice((b"", b"&", b"=", b"&&&", b"=" * 5_000, b"%", b"%zz=%", b";", b"+"))
        case 2:
            return right + b"&%b=%b" % (name, rng.choice((b"%ff", b"%00", b"%ed%a0%80", b"%u0041")))
        case 3:
            return right + b"&%b[]=x&%b.x=y" % (name, name)
        case 4:
            return right + b"&" + name.upper() + b"=x&" + b"x" * rng.choice((10, 15_000, 20_000))
        case _:
            return broken(right, rng)


def broken(right: bytes, rng: random.Random) -> bytes:
    """The same with some bytes changed, left out, put in, or repeated."""
    made = bytearray(right)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(made) + 1)
        match rng.randrange(5):
            case 0 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 1:
                made[at:at] = rng.choice(_BYTES)
            case 2:
                del made[at : at + rng.randrange(1, 8)]
            case 3:
                made[at:at] = made[at : at + rng.randrange(1, 40)]
            case _:
                del made[at:]
    return bytes(made)
