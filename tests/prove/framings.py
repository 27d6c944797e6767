"""Requests whose lengths, codings, line ends and chunks are odd, each with another hidden in it.

Knows which of them mean two things, and no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tests.http.framing import AMBIGUOUS
from tests.prove.hostile_bodies import broken

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

HIDDEN: Final = b"DELETE /sessions HTTP/1.1\r\nHost: a\r\n\r\n"
"""In a body, or behind what is refused: nobody else asks with its method."""
LAST: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
DOWN: Final = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

_JSON: Final = b'{"refresh_token":"gbr_x","user_id":"a","user_secret":"a quiet rope of seven"}'
_LENGTHS: Final = (
    b"+%d", b"-%d", b"0x%x", b"%d,%d", b"%d, %d", b"%d.0", b"%de0", b"%d;", b"", b" ", b"\x0b%d",
    b"%d %d", b"_%d", b"%d\0", b"999999999999999999999%d", b"\xd9\xa1%d",
)  # fmt: skip
"""None of them is a length."""
_MAYBE_LENGTHS: Final = (b"%d ", b"\t%d", b"0%d", b"%d\t", b"0000000000000000000%d")
_CODINGS: Final = (
    b"chunked, chunked", b"gzip, chunked", b"chunked, gzip", b"identity", b"identity, chunked",
    b"xchunked", b"chunkedx", b"chunked;q=1", b'"chunked"', b"chun\0ked", b"", b"chunked,",
    b",chunked", b"\x0bchunked", b"chunke", b"gzip", b"x,chunked",
)  # fmt: skip
_MAYBE_CODINGS: Final = (b"chunked ", b"\tchunked", b"CHUNKED", b"Chunked")
_NAMES: Final = (b"%b ", b" %b", b"%b\t", b"%b\0", b"%b\x0b", b"(%b)", b"%b\xa0")
"""Around the name of a header: none that is left is a name."""
_ENDS: Final = (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\t", b"\0\r\n", b"\x0b\r\n")
_SIZES: Final = (
    b"0x%x", b"-%x", b"+%x", b"%xg", b"_%x", b"", b";%x", b"%x\0", b"fffffffffffffffff%x",
    b"%x\n%x", b" %x",
)  # fmt: skip
_MAYBE_SIZES: Final = (b"0%x", b"%x ", b"%x;a=b", b'%x;a="b"', b"%x\t", b"00000000%x", b"%x;")
_HEAD: Final = b"POST /revoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_LINES: Final = (
    b"GET /me HTTP/1.1", b"GET /account HTTP/1.1", b"POST /register HTTP/1.1", b"HEAD / HTTP/1.1",
    b"POST /oauth/token HTTP/1.1", b"POST /web/login HTTP/1.1", b"OPTIONS * HTTP/1.1",
    b"GET /revocations?after=x HTTP/1.1", b"GET http://a/ HTTP/1.1",
    b"PUT /users/x/secret HTTP/1.0",
)  # fmt: skip


class Framing(NamedTuple):
    """What is sent; `ambiguous` when it has to be one 400, after answers that `before` names."""

    kind: str
    content: bytes
    ambiguous: bool
    before: tuple[int, ...] = ()


def framings(rng: random.Random, number: int) -> Iterator[Framing]:
    """So many, of all kinds."""
    known = [*AMBIGUOUS.values()]
    for _ in range(number):
        match rng.randrange(8):
            case 0:
                yield Framing("a known ambiguity", rng.choice(known) + HIDDEN + LAST, True)
            case 1:
                behind = [each for each in known if not each.startswith(b"\n")]
                content = DOWN + rng.choice(behind) + HIDDEN + LAST
                yield Framing("a known ambiguity behind a request", content, True, (200,))
            case 2 | 3:
                yield _wrong(rng)
            case 4:
                yield _maybe(rng)
            case 5:
                yield Framing("a size", _sized(rng), False)
            case _:
                yield Framing("broken bytes", _broken(rng), False)


def _wrong(rng: random.Random) -> Framing:
    """One thing is wrong with how long it is, for sure."""
    size = len(HIDDEN)
    match rng.randrange(6):
        case 0:
            length = _filled(rng.choice(_LENGTHS), size)
            content = _HEAD + b"Content-Length: %b\r\n\r\n" % length + HIDDEN
        case 1:
            coding = rng.choice(_CODINGS)
            content = _HEAD + b"Transfer-Encoding: %b\r\n\r\n" % coding + _chunked(b"%x" % size)
        case 2:
            both = [b"Content-Length: %d\r\n" % size, b"Transfer-Encoding: chunked\r\n"]
            rng.shuffle(both)
            body = rng.choice((HIDDEN, _chunked(b"%x" % size)))
            content = _HEAD + b"".join(both) + b"\r\n" + body
        case 3:
            name = rng.choice(_NAMES) % rng.choice((b"Content-Length", b"Transfer-Encoding", b"X"))
            content = _HEAD + b"%b: %d\r\n\r\n" % (name, size) + HIDDEN
        case 4:
            end = rng.choice(_ENDS)
            lines = _HEAD.split(b"\r\n")[:-1]
            lines.insert(rng.randrange(1, len(lines) + 1), b"X: y" + end + b"Z: y")
            content = b"\r\n".join(lines) + b"\r\nContent-Length: %d\r\n\r\n" % size + HIDDEN
        case _:
            coded = _chunked(_filled(rng.choice(_SIZES), size))
            return Framing("a wrong chunk", _CHUNKED + coded + HIDDEN + LAST, True)
    return Framing("a wrong framing", content + LAST, True)


_CHUNKED: Final = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def _maybe(rng: random.Random) -> Framing:
    """It is right to the letter, or to those who don't look: as it says, or one 400."""
    size = len(HIDDEN)
    match rng.randrange(3):
        case 0:
            length = rng.choice(_MAYBE_LENGTHS) % size
            content = _HEAD + b"Content-Length: %b\r\n\r\n" % length + HIDDEN
        case 1:
            coding = rng.choice(_MAYBE_CODINGS)
            content = _HEAD + b"Transfer-Encoding: %b\r\n\r\n" % coding + _chunked(b"%x" % size)
        case _:
            content = _CHUNKED + _chunked(rng.choice(_MAYBE_SIZES) % size)
    return Framing("an odd framing", content + LAST, False)


def _sized(rng: random.Random) -> bytes:
    """Much of something."""
    many = rng.choice((1_000, 16_384, 20_000, 300_000))
    return rng.choice(
        (
            b"GET /" + b"a" * many + b" HTTP/1.1\r\nHost: a\r\n\r\n" + LAST,
            DOWN[:-2] + b"X: " + b"a" * many + b"\r\n\r\n" + LAST,
            DOWN[:-2] + b"X: y\r\n" * (many // 6) + b"\r\n" + LAST,
            DOWN[:-2] + b"a" * many + b": y\r\n\r\n" + LAST,
            _HEAD + b"Content-Length: %d\r\n\r\n" % many + b"[" * many + LAST,
            _CHUNKED + b"1;" + b"a" * many + b"\r\n{\r\n0\r\n\r\n" + LAST,
            _CHUNKED + b"1\r\n{\r\n" * (many // 6) + b"0\r\n\r\n" + LAST,
            _CHUNKED + b"0\r\n" + b"X: y\r\n" * (many // 6) + b"\r\n" + LAST,
            DOWN * (many // len(DOWN) // 8) + LAST,
        )
    )


def _broken(rng: random.Random) -> bytes:
    """Requests one after another, with some bytes broken."""
    content = b""
    for _ in range(rng.choice((1, 2, 3))):
        line = rng.choice(_LINES)
        content += line + b"\r\nHost: a\r\nContent-Type: application/json\r\n"
        if line.startswith((b"POST", b"PUT")):
            content += b"Content-Length: %d\r\n\r\n" % len(_JSON) + _JSON
        else:
            content += b"Authorization: Bearer a.b.c\r\nCookie: gatebook=gbr_x\r\n\r\n"
    return broken(content, rng) + LAST


def _chunked(size: bytes) -> bytes:
    return size + b"\r\n" + HIDDEN + b"\r\n0\r\n\r\n"


def _filled(form: bytes, size: int) -> bytes:
    """The form with the size in each of its places."""
    places: Sequence[int] = [size] * form.count(b"%")
    return form % (*places,)
